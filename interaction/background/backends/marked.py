"""What a text model writes, told apart by the marks that Inkling's models write.

    <|message_model|>NAME<|content_KIND|>...<|end_message|>   any number of such
    <|content_model_end_sampling|>

KIND is text, thinking or invoke_tool_json, whose body is {"name": ..., "args": {...}}; NAME
is a tool's, or nothing. A model without these marks writes text alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from interaction.modality.text import Text

MODEL, END = "<|message_model|>", "<|end_message|>"
BODIES = {
    "<|content_text|>": "content",
    "<|content_thinking|>": "reasoning",
    "<|content_invoke_tool_json|>": "call",
}
HEAD = "head"  # between MODEL and a body's mark: whose message it is


class Marked:
    """Takes tokens; gives deltas of a chat completion as they are whole."""

    def __init__(self, text: Text) -> None:
        self._text = text
        marks = {mark: text.special(mark) for mark in (MODEL, END, *BODIES)}
        self._marks = {token: mark for mark, token in marks.items() if token is not None}
        self._in, self._ids, self._told, self._calls = "content", [0][:0], 0, 0

    def take(self, token: int) -> Iterator[dict[str, Any]]:
        mark = self._marks.get(token)
        if mark is None:
            self._ids.append(token)
            yield from self._piece()
            return
        yield from self.end()
        self._in = BODIES.get(mark, HEAD if mark == MODEL else "content")

    def end(self) -> Iterator[dict[str, Any]]:
        """What is left of the body that ends here."""
        if self._in == "call":
            yield self._call(self._text.decode(self._ids))
        else:
            yield from self._piece(whole=True)
        self._ids, self._told = [], 0

    def _piece(self, whole: bool = False) -> Iterator[dict[str, Any]]:
        if self._in in (HEAD, "call"):
            return
        text = self._text.decode(self._ids)
        if text.endswith("\N{REPLACEMENT CHARACTER}") and not whole:
            return  # a character of several tokens
        if text[self._told :]:
            yield {self._in: text[self._told :]}
            self._told = len(text)

    def _call(self, body: str) -> dict[str, Any]:
        """What is no such object goes on as it is: whoever calls says what is wrong."""
        name, arguments = "", body
        try:
            given = json.loads(body)
            name, arguments = str(given["name"]), json.dumps(given.get("args", {}))
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        self._calls += 1
        function = {"name": name, "arguments": arguments}
        return {"tool_calls": [{"index": self._calls - 1, "id": "", "function": function}]}
