"""The native protocol over a WebSocket: one message a micro-turn each way."""

from __future__ import annotations

import asyncio
import contextlib
import io
import secrets
import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from PIL import Image
from starlette.websockets import WebSocket, WebSocketDisconnect

from interaction.errors import InputError
from interaction.serve import messages as m
from interaction.serve.call import Call
from interaction.serve.line import Numbered
from interaction.serve.room import Turn

if TYPE_CHECKING:
    from interaction.serve.server import House

SIDE = 4_096  # pixels of a picture's side at most
HELLO_S = 10.0  # for the first message


class _Over(Exception):
    """The conversation ends, by the client's wish or fault."""

    def __init__(self, why: str, held: bool = False) -> None:
        super().__init__(why)
        self.held = held  # the client may come back


def picture(data: bytes) -> np.ndarray:
    """JPEG or PNG -> uint8 [H, W, 3]. Raises InputError."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            if max(image.size) > SIDE:
                raise InputError(f"pictures: {image.size}; {SIDE} pixels a side at most")
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"pictures: neither JPEG nor PNG ({error})") from None


class Native:
    """One connection's."""

    def __init__(self, house: House, socket: WebSocket) -> None:
        self._house, self._socket = house, socket
        self._limits = house.limits
        self._wrong = 0
        self._second, self._count = 0, 0

    async def run(self) -> None:
        try:
            call, line, token = await self._begin()
        except _Over as over:
            await self._bye(str(over))
            return
        speaking = asyncio.create_task(self._speak(call))
        held = False
        try:
            await self._listen(call, line)
        except _Over as over:
            held = over.held and not call.why
            if not held:
                call.end(str(over))
                await speaking  # what was said before the end, and why it ended
        finally:
            speaking.cancel()
            await self._house.part(call, token, line, held)

    async def _bye(self, why: str) -> None:
        """Unless nobody is there any more."""
        with contextlib.suppress(_Over, WebSocketDisconnect, RuntimeError):
            await self._send(m.Ended(why))
            await self._socket.close()

    async def _begin(self) -> tuple[Call, Numbered, str]:
        try:
            first = await asyncio.wait_for(self._next(), HELLO_S)
        except TimeoutError:
            raise _Over(f"no `start` within {HELLO_S:.0f} s") from None
        try:
            if isinstance(first, m.Start):
                line, turn = Numbered(first.delay), 0
                call, token = Call(line), secrets.token_urlsafe(24)
                await self._house.admit(call, first.seed, first.temperature)
            elif isinstance(first, m.Resume):
                held = await self._house.back(first.token)
                line, turn = Numbered(held.delay, first=held.turns), held.turns
                call, token = Call(line), first.token
                await self._house.rejoin(held, call)
            else:
                raise _Over("the first message is `start` or `resume`")
        except InputError as error:
            raise _Over(str(error)) from None
        ms, grace = self._house.turn_ms, self._limits.grace_s
        await self._send(m.Started(token, turn, ms, grace))
        return call, line, token

    async def _listen(self, call: Call, line: Numbered) -> None:
        """Until one side ends the conversation: raises _Over."""
        while True:
            try:
                message = await asyncio.wait_for(self._next(), self._limits.idle_s)
            except TimeoutError:
                raise _Over(f"nothing came for {self._limits.idle_s:.0f} s") from None
            if call.why:
                raise _Over(call.why)
            if isinstance(message, m.Close):
                raise _Over("closed by the client")
            if not isinstance(message, m.Hear):
                await self._complain("this conversation has started; send `hear`")
                continue
            try:
                pair = [picture(data) for data in message.pictures or ()]
                if pair and pair[0].shape != pair[1].shape:
                    raise InputError("pictures: of two sizes; send both alike")
            except InputError as error:
                await self._complain(str(error))
                continue
            sound = np.frombuffer(message.audio, "<i2").astype(np.float32) / 32768.0
            line.write(message.turn, sound)
            if pair:
                call.see(np.stack(pair))
            if message.text and not call.type(message.text):
                await self._complain("text: too much waits to be read; send less")

    async def _speak(self, call: Call) -> None:
        """Until the conversation ends or nobody is there; the listener notices both."""
        with contextlib.suppress(_Over):
            async for turn in call.turns():
                self._house.metrics.missing.inc(turn.missing_ms / 1e3)
                await self._send(say(turn, self._house.turn_ms))
            await self._bye(call.why or "")

    async def _next(self) -> m.ToServer:
        """The next message that makes sense. Raises _Over when there will be none."""
        while True:
            got = await self._socket.receive()
            if got["type"] == "websocket.disconnect":
                raise _Over("the connection broke", held=True)
            second = int(time.monotonic())
            self._count = self._count + 1 if second == self._second else 1
            self._second = second
            if self._count > self._limits.messages_per_s:
                raise _Over(f"more than {self._limits.messages_per_s} messages a second")
            try:
                data = got.get("bytes")
                if data is None:
                    raise InputError("a text message; send binary ones, of MessagePack")
                return m.to_server.decode(data)
            except (msgspec.DecodeError, InputError, RecursionError) as error:
                await self._complain(str(error))

    async def _complain(self, what: str) -> None:
        self._wrong += 1
        self._house.metrics.wrong.inc()
        if self._wrong > self._limits.wrong:
            raise _Over(f"{self._wrong} wrong messages; the last: {what}")
        await self._send(m.Error(what))

    async def _send(self, message: m.ToClient) -> None:
        try:
            await self._socket.send_bytes(m.encode(message))
        except (WebSocketDisconnect, RuntimeError):
            raise _Over("the connection broke", held=True) from None


def say(turn: Turn, turn_ms: int) -> m.Say:
    out = turn.out
    pcm = (np.clip(out.audio, -1.0, 32767 / 32768) * 32768).round().astype("<i2")
    events = [m.Happened(e.t_s, e.lane, e.kind, e.text) for e in out.events]
    number = round(1000 * turn.t_s / turn_ms) - 1
    return m.Say(
        number, pcm.tobytes(), out.text, list(out.heard), events, out.cleared,
        round(turn.missing_ms, 1), round(out.compute_ms, 1),
    )  # fmt: skip
