"""One reply of a chat-completions endpoint, put together from the pieces it comes in."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from interaction.errors import InputError


@dataclass
class Call:
    """A tool call. text: JSON of its arguments, as far as it came."""

    id: str
    name: str = ""
    text: str = ""

    def arguments(self) -> dict[str, Any]:
        """Raises InputError for what is no JSON object."""
        try:
            given = json.loads(self.text or "{}")
        except (ValueError, RecursionError) as error:
            raise InputError(f"arguments: no JSON ({error}); call again") from None
        if not isinstance(given, dict):
            raise InputError("arguments: no JSON object; call again")
        return given


@dataclass
class Reply:
    """length: of everything in it, in characters; finish: why it ended, once it has."""

    text: str = ""
    thinking: str = ""
    calls: list[Call] = field(default_factory=list)
    length: int = 0
    finish: str | None = None
    _by_index: dict[int, Call] = field(default_factory=dict)

    def take(self, delta: Any) -> None:
        """The next piece. Endpoints differ in where they put their thoughts."""
        text = getattr(delta, "content", None) or ""
        thought = getattr(delta, "reasoning_content", None)
        thought = thought or getattr(delta, "reasoning", None) or ""
        if not isinstance(thought, str):
            thought = ""
        self.text += text
        self.thinking += thought
        self.length += len(text) + len(thought)
        for part in getattr(delta, "tool_calls", None) or ():
            self._part(part)

    def _part(self, part: Any) -> None:
        """Of a call: the one with its index, and with its id where both have one."""
        call = self._by_index.get(part.index)
        if call is None or (part.id and call.id and part.id != call.id):
            call = Call(part.id or "")
            self.calls.append(call)
            self._by_index[part.index] = call
        call.id = call.id or part.id or ""
        if part.function is not None:
            name, text = part.function.name or "", part.function.arguments or ""
            call.name = call.name or name
            call.text += text
            self.length += len(name) + len(text)
        self.length += 1  # there is no end of empty ones either

    def message(self) -> dict[str, Any]:
        """As the endpoint is told later what it said."""
        said: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        if self.calls:
            said["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.text or "{}"},
                }
                for call in self.calls
            ]
        return said
