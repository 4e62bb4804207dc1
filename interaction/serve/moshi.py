"""Moshi's protocol: `/api/chat`, binary messages of a type's byte and a payload.

The server greets (type 0, and two numbers, 0: protocol and model), then both send sound as
an Ogg stream of Opus (1), and the server what the model writes (2), as it writes it. A
message that makes no sense, and the end, are told as an error (5). What clients write (2)
is read as typed words; control (3), metadata (4) and ping (6) have no meaning in a full
duplex, and unknown types none at all: they are dropped, as the protocol demands.

The address may ask for what `Query` has; other fields are let pass. With `consent=true`,
where the server records, metadata tells the recording's name and the token that deletes it.
A session whose connection broke has ended, and nothing tells of sound that has not come.
As documented in rust/protocol.md of kyutai-labs/moshi, and fields as its servers read them.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.websockets import WebSocket

from interaction.errors import InputError
from interaction.grammar import Kind
from interaction.serve.away import new_token
from interaction.serve.call import Call
from interaction.serve.house import Begun
from interaction.serve.line import Stream
from interaction.serve.messages import Count, Share
from interaction.serve.opus import OggDecoder, OggEncoder
from interaction.serve.room import Turn
from interaction.serve.wire import Wire

HELLO, AUDIO, TEXT, METADATA, ERROR = 0, 1, 2, 4, 5
STEP_MS = 80  # a step of Moshi's, in which `max_steps` counts
GREETING = bytes([HELLO]) + bytes(8)


class Query(msgspec.Struct):
    """One temperature and one seed serve here. text_prompt: instructions, a field of
    PersonaPlex's. The others are for ways of sampling that this model does not have:
    checked, and let pass."""

    text_temperature: Share | None = None
    text_seed: Count = 0
    max_steps: Annotated[int, Meta(ge=1)] | None = None
    text_prompt: Annotated[str, Meta(max_length=4_000)] = ""
    audio_temperature: Share | None = None
    audio_seed: Count | None = None
    text_topk: Count | None = None
    audio_topk: Count | None = None
    pad_mult: float | None = None
    repetition_penalty: float | None = None
    repetition_penalty_context: Count | None = None


class Moshi(Wire):
    """One connection."""

    def __init__(self, house: Any, socket: WebSocket) -> None:
        super().__init__(house, socket)
        self._decoder, self._encoder = OggDecoder(), OggEncoder()
        self._turns = 0
        self._most: int | None = None  # turns
        self._call: Call | None = None

    def read(self, got: dict[str, Any]) -> tuple[int, bytes]:
        """Its type, and its payload."""
        data = got.get("bytes")
        if not data:
            raise InputError("an empty or a text message; send a type's byte and a payload")
        return data[0], data[1:]

    def _asked(self) -> Query:
        """In the address. Raises InputError."""
        try:
            return msgspec.convert(dict(self.socket.query_params), Query, strict=False)
        except msgspec.ValidationError as error:
            raise InputError(f"the address's query: {error}") from None

    async def begin(self) -> Begun:
        first = self._asked()
        call = self._call = Call(Stream())
        if first.text_prompt:
            call.read(first.text_prompt, Kind.INSTRUCT)
        if first.max_steps:
            self._most = -(-first.max_steps * STEP_MS // self.house.turn_ms)
        asked = first.text_temperature
        temperature = self.house.temperature if asked is None else asked
        await self.house.admit(call, first.text_seed, temperature)
        await self.send(GREETING)
        if name := self.record(token := new_token()):
            about = json.dumps({"recording": name, "token": token})
            await self.send(bytes([METADATA]) + about.encode())
        return Begun(call, call.line)

    async def heard(self, message: tuple[int, bytes], call: Call) -> None:
        kind, payload = message
        if kind == AUDIO:
            assert isinstance(call.line, Stream)
            call.line.write(self._decoder.push(payload))
        elif kind == TEXT and not call.read(_text(payload)):
            raise InputError("text: too much waits to be read; send less")

    async def said(self, turn: Turn) -> None:
        if self._turns == self._most:
            return
        self._turns += 1
        await self.send(bytes([AUDIO]) + self._encoder.push(turn.out.audio))
        if turn.out.text:
            await self.send(bytes([TEXT]) + turn.out.text.encode())
        if self._turns == self._most and self._call:
            self._call.end(f"max_steps: {self._turns} turns have been said")

    async def wrong(self, what: str, got: dict[str, Any]) -> None:
        await self.send(bytes([ERROR]) + what.encode())

    async def ended(self, why: str) -> None:
        await self.wrong(why, {})


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"text: no UTF-8 ({error.reason})") from None
