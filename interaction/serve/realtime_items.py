"""A conversation as OpenAI's Realtime protocol tells it: items, and the user's utterances.

The model knows none of these; they are made from what it heard and said. Methods give the
events that tell of it, in their order.
"""

from __future__ import annotations

from typing import Any

from interaction.errors import InputError
from interaction.serve.events import WORD_MS, new_id

KEPT = 500  # items that are remembered
QUIET_MS = 1_000  # without a word that end an utterance
MOST = 16_000  # characters of an item, after which another begins

Told = list[tuple[str, dict[str, Any]]]  # type and fields of events


class Items:
    """In their order, the last `KEPT`. An item is a value: what changes it puts another in
    its place. Neither sound nor pictures are kept."""

    def __init__(self) -> None:
        self._items: list[dict[str, Any]] = []
        self._sound_ms: dict[str, int] = {}  # of the agent's

    @property
    def last(self) -> str:
        """The id to put the next item behind."""
        return self._items[-1]["id"] if self._items else "root"

    def find(self, item_id: str, field: str = "item_id") -> dict[str, Any]:
        """Raises InputError."""
        for item in self._items:
            if item["id"] == item_id:
                return item
        raise InputError(f"{field}: there is no item {item_id}; {KEPT} are kept")

    def called(self, call_id: str, field: str) -> None:
        """Raises InputError when no function was called under this id."""
        if not any(item.get("call_id") == call_id for item in self._items):
            raise InputError(f"{field}: there is no call {call_id}")

    def fits(self, item_id: str | None, after: str | None) -> None:
        """Raises InputError when an item cannot have this id and place."""
        if any(item["id"] == item_id for item in self._items):
            raise InputError(f"item.id: there is an item {item_id}; give another id")
        if after not in (None, "root"):
            self.find(after, "previous_item_id")

    def add(self, item: dict[str, Any], after: str | None = None) -> Told:
        """after: id of the one before, "root" for the first place, None for the last."""
        ids = [each["id"] for each in self._items]
        at = len(ids)
        if after == "root":
            at = 0
        elif after in ids:
            at = ids.index(after) + 1
        self._items.insert(at, item)
        told = [("conversation.item.added", self._placed(item))]
        for old in self._items[:-KEPT]:
            self._forget(old)
        return told

    def done(self, item: dict[str, Any]) -> Told:
        """It is complete, and as it stays."""
        self._put(item)
        return [("conversation.item.done", self._placed(item))]

    def remove(self, item_id: str) -> Told:
        self._forget(self.find(item_id))
        return [("conversation.item.deleted", {"item_id": item_id})]

    def sounds(self, item_id: str, ms: int) -> None:
        """So much of an item's sound has been sent."""
        self._sound_ms[item_id] = ms

    def truncate(self, item_id: str, end_ms: int) -> Told:
        """Nobody heard the rest. Its words go with it, as the protocol has it. Raises
        InputError."""
        item = self.find(item_id)
        if item_id not in self._sound_ms:
            raise InputError("item_id: the item has no sound of the agent's")
        if end_ms > self._sound_ms[item_id]:
            had = self._sound_ms[item_id]
            raise InputError(f"audio_end_ms: {end_ms}; the item has {had} ms of sound")
        self._put(item | {"content": [{"type": "output_audio", "transcript": ""}]})
        return self._truncated(item_id, end_ms)

    def heard_out(self, item_id: str) -> Told:
        """All that was sent has been heard, and no more will be."""
        if item_id not in self._sound_ms:
            return []
        return self._truncated(item_id, self._sound_ms[item_id])

    def _truncated(self, item_id: str, end_ms: int) -> Told:
        self._sound_ms[item_id] = end_ms
        what = {"item_id": item_id, "content_index": 0, "audio_end_ms": end_ms}
        return [("conversation.item.truncated", what)]

    def _placed(self, item: dict[str, Any]) -> dict[str, Any]:
        before = None
        for each in self._items:
            if each["id"] == item["id"]:
                break
            before = each["id"]
        return {"previous_item_id": before, "item": item}

    def _put(self, item: dict[str, Any]) -> None:
        """Unless it was deleted meanwhile."""
        self._items = [item if x["id"] == item["id"] else x for x in self._items]

    def _forget(self, item: dict[str, Any]) -> None:
        self._items.remove(item)
        self._sound_ms.pop(item["id"], None)


class Speech:
    """The user's utterances, from the words that the model heard: there is no detector.
    One begins with a word, and ends when none has come for `QUIET_MS` or the client
    commits. `text`: of the one that is heard, or of the last."""

    def __init__(self, items: Items) -> None:
        self._items = items
        self.text = ""
        self._id: str | None = None  # of the utterance that is heard
        self._after = "root"
        self._began_ms = self._ended_ms = 0

    def word(self, word: str, end_ms: int, tells: bool) -> Told:
        """A word that ended at `end_ms`, or a piece of one. tells: whether the client
        wants to read it."""
        told = self.commit(tells) if len(self.text) > MOST and self._id else []
        if self._id is None:
            self._id, self._after, self.text = new_id("item"), self._items.last, ""
            self._began_ms = max(end_ms - WORD_MS, 0)
            began = {"audio_start_ms": self._began_ms, "item_id": self._id}
            told.append(("input_audio_buffer.speech_started", began))
        self._ended_ms = end_ms
        delta = word if self.text else word.lstrip()
        self.text += delta
        if tells:
            heard = {"item_id": self._id, "content_index": 0, "delta": delta}
            told.append(("conversation.item.input_audio_transcription.delta", heard))
        return told

    def quiet(self, now_ms: int, tells: bool) -> Told:
        """No word came in this turn."""
        if self._id is None or now_ms - self._ended_ms < QUIET_MS:
            return []
        return self.commit(tells)

    def commit(self, tells: bool) -> Told:
        """What was heard is an item, even if it is nothing."""
        told: Told = []
        if self._id is None:
            self._id, self._after, self.text = new_id("item"), self._items.last, ""
            self._began_ms = self._ended_ms
        else:
            ended = {"audio_end_ms": self._ended_ms, "item_id": self._id}
            told.append(("input_audio_buffer.speech_stopped", ended))
        part = {"type": "input_audio", "transcript": self.text if tells else None}
        item = message(self._id, "user", "completed", [part])
        added = self._items.add(item, self._after)
        before = added[0][1]["previous_item_id"]
        committed = {"item_id": self._id, "previous_item_id": before}
        told += [("input_audio_buffer.committed", committed), *added]
        told += self._items.done(item)
        if tells:
            lasted = (self._ended_ms - self._began_ms) / 1e3
            heard = {"item_id": self._id, "content_index": 0, "transcript": self.text}
            heard["usage"] = {"type": "duration", "seconds": lasted}
            told.append(("conversation.item.input_audio_transcription.completed", heard))
        self._id = None
        return told


def new_item(kind: str, status: str) -> dict[str, Any]:
    return {
        "id": new_id("item"), "object": "realtime.item", "type": kind, "status": status,
    }  # fmt: skip


def message(item_id: str, role: str, status: str, content: list) -> dict[str, Any]:
    return new_item("message", status) | {"id": item_id, "role": role, "content": content}
