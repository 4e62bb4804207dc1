"""A response of OpenAI's Realtime protocol, made while the model speaks."""

from __future__ import annotations

from typing import Any

import numpy as np

from interaction.serve.codec import Encoder
from interaction.serve.events import new_id, to_base64
from interaction.serve.realtime_events import Settings
from interaction.serve.realtime_items import MOST, Items, Told, message, new_item

CALLS = 64  # of a response, after which another begins

NOTHING = np.zeros(0, np.float32)


class Reply:
    """A response: what the model says from silence to silence. The client may have asked
    for it before there is anything to say (`begun`)."""

    def __init__(
        self,
        items: Items,
        settings: Settings,
        conversation: str,
        modality: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        self.id = new_id("resp")
        self.waited = 0  # turns, before it has begun
        self._items, self._form = items, settings.said
        self._sounds = (modality or settings.modality) == "audio"
        self._encoder, self._bytes = Encoder(settings.said), 0
        self._told = False  # that it is
        self._about = {"conversation_id": conversation, "metadata": metadata}
        self._output: list[dict[str, Any]] = []
        self._at: dict[str, Any] | None = None  # of the message
        self._text = ""

    @property
    def begun(self) -> bool:
        return bool(self._output)

    @property
    def long(self) -> bool:
        return len(self._text) > MOST or len(self._output) > CALLS

    def created(self) -> Told:
        self._told = True
        return [("response.created", {"response": self._shown("in_progress", None)})]

    def say(self, text: str, wave: np.ndarray) -> Told:
        """Words with their spaces; float32 at 16 kHz. Text alone begins with a word."""
        if not (self._at or self._sounds or text.strip()):
            return []
        told = [] if self._at else self._message()
        if text := text if self._text else text.lstrip():
            self._text += text
            told.append((f"response.{self._words}.delta", self._here() | {"delta": text}))
        return told + self._sound(wave)

    def call(self, name: str, arguments: str) -> Told:
        """A function, with its arguments as JSON."""
        call = {"call_id": new_id("call")}
        item = new_item("function_call", "in_progress") | call | {"name": name}
        where, told = self._open(item | {"arguments": ""})
        done = item | {"status": "completed", "arguments": arguments}
        kind, here = "response.function_call_arguments", where | call
        told.append((f"{kind}.delta", here | {"delta": arguments}))
        told.append((f"{kind}.done", here | {"name": name, "arguments": arguments}))
        return told + self._close(done, where["output_index"])

    def end(self, status: str, tail: np.ndarray = NOTHING, **details: Any) -> Told:
        """tail: of its sound. details: of a status other than completed."""
        told: Told = []
        if self._at:
            if status == "completed":
                told += self._sound(tail, last=True)
            told += self._finish("completed" if status == "completed" else "incomplete")
        why = {"type": status} | details if details else None
        told.append(("response.done", {"response": self._shown(status, why)}))
        if details.get("reason") == "turn_detected" and self._at:
            told += self._items.heard_out(self._at["item_id"])
        return told

    @property
    def _words(self) -> str:
        return "output_audio_transcript" if self._sounds else "output_text"

    def _here(self) -> dict[str, Any]:
        assert self._at is not None
        return self._at | {"content_index": 0}

    def _part(self) -> dict[str, Any]:
        if self._sounds:
            return {"type": "audio", "transcript": self._text}
        return {"type": "text", "text": self._text}

    def _message(self) -> Told:
        item = message(new_id("item"), "assistant", "in_progress", [])
        self._at, told = self._open(item)
        part = self._here() | {"part": self._part()}
        return [*told, ("response.content_part.added", part)]

    def _sound(self, wave: np.ndarray, last: bool = False) -> Told:
        data = self._encoder.push(wave, last) if self._sounds else b""
        if not data:
            return []
        here = self._here()
        self._bytes += len(data)
        ms = 1000 * self._bytes // (self._form.width * self._form.rate)
        self._items.sounds(here["item_id"], ms)
        return [("response.output_audio.delta", here | {"delta": to_base64(data)})]

    def _finish(self, status: str) -> Told:
        """The message is whole, or cut."""
        here, part = self._here(), self._part()
        told: Told = [("response.output_audio.done", here)] if self._sounds else []
        words = {"transcript" if self._sounds else "text": self._text}
        told.append((f"response.{self._words}.done", here | words))
        told.append(("response.content_part.done", here | {"part": part}))
        index = here["output_index"]
        content = [part | {"type": f"output_{part['type']}"}]
        item = self._output[index] | {"status": status, "content": content}
        return told + self._close(item, index)

    def _open(self, item: dict[str, Any]) -> tuple[dict[str, Any], Told]:
        """-> where it is, and what tells of it."""
        first = [] if self._told else self.created()
        index = len(self._output)
        self._output.append(item)
        where = {"response_id": self.id, "output_index": index}
        told = [*first, ("response.output_item.added", where | {"item": item})]
        return where | {"item_id": item["id"]}, told + self._items.add(item)

    def _close(self, item: dict[str, Any], index: int) -> Told:
        self._output[index] = item
        where = {"response_id": self.id, "output_index": index}
        told: Told = [("response.output_item.done", where | {"item": item})]
        return told + self._items.done(item)

    def _shown(self, status: str, why: dict[str, Any] | None) -> dict[str, Any]:
        form = {"type": self._form.type}
        return {
            "id": self.id,
            "object": "realtime.response",
            "status": status,
            "status_details": why,
            "output": list(self._output),
            "output_modalities": ["audio" if self._sounds else "text"],
            "audio": {"output": {"format": form}},
            "max_output_tokens": "inf",
        } | self._about
