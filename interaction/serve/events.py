"""What OpenAI's protocols share: events as JSON, and errors that name the field."""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from interaction.errors import InputError
from interaction.grammar import Kind
from interaction.serve.call import Call
from interaction.serve.messages import Count, Share
from interaction.serve.room import Turn

WORD_MS = 250  # of a word that was heard: it ends where it was noticed

Text = Annotated[str, Meta(max_length=4_000)]


class Event(msgspec.Struct, tag_field="type", kw_only=True):
    """Of a client's. event_id: its own name for it."""

    event_id: Annotated[str, Meta(max_length=200)] | None = None


class Sampling(msgspec.Struct, frozen=True):
    """How a session draws: told in it, so that it can be had again."""

    seed: Count
    temperature: Share


class _Asked(msgspec.Struct):
    seed: Count | None = None
    temperature: Share | None = None


def sampling(query: Mapping[str, str], temperature: float) -> Sampling:
    """As an address asks, `?seed=7&temperature=0.8`, for which these protocols have no
    event; where it does not, a seed that is drawn and the server's temperature. Raises
    InputError."""
    try:
        asked = msgspec.convert(dict(query), _Asked, strict=False)
    except msgspec.ValidationError as error:
        raise InputError(f"the address's query: {error}") from None
    return Sampling(
        secrets.randbits(31) if asked.seed is None else asked.seed,
        temperature if asked.temperature is None else asked.temperature,
    )


def text_of(got: Mapping[str, Any]) -> str:
    """A WebSocket message's text. Raises InputError."""
    if (text := got.get("text")) is None:
        raise InputError("a binary message; send events as JSON text")
    return text


def event(kind: str, fields: Mapping[str, Any]) -> str:
    """One of the server's, as JSON."""
    return json.dumps({"type": kind, "event_id": new_id("event")} | dict(fields))


def new_id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(8)}"


def from_base64(text: str, field: str) -> bytes:
    """Raises InputError."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{field}: no base64 ({error})") from None


def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def read(call: Call, words: str, channel: Kind, field: str) -> None:
    """Words for the model. Raises InputError when too many wait."""
    if not call.read(words, channel):
        raise InputError(f"{field}: too much waits to be read; send less")


def at_ms(turn: Turn, t_s: float) -> int:
    """When something of a turn happened, on the guest's clock."""
    return round(1000 * turn.on_clock(t_s))


def complaint(what: str) -> dict[str, Any]:
    """The field is what msgspec says, or what stands before the colon."""
    return {
        "type": "invalid_request_error",
        "code": "invalid_value",
        "message": what,
        "param": _field(what),
    }


def _field(what: str) -> str | None:
    at = re.search(r"`\$\.?([\w.\[\]]*)`", what)
    where = at[1] if at else ""
    if missing := re.search(r"missing required field `(\w+)`", what):
        return f"{where}.{missing[1]}".lstrip(".")
    before = re.match(r"([\w.\[\]]+):", what)
    return where or (before[1] if before else None)


def name_of(got: Mapping[str, Any]) -> str | None:
    """The event_id of a message that did not read as a whole."""
    try:
        found = msgspec.json.decode(got.get("text") or "", type=dict).get("event_id")
    except (msgspec.DecodeError, RecursionError):
        return None
    return found if isinstance(found, str) else None
