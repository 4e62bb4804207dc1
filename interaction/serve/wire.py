"""A conversation over a WebSocket: what all protocols share.

A protocol (`native`, `live`, `realtime`, `moshi`) says how messages read and write; here
they are counted and timed, and the two directions meet. A message that makes no sense gets
an answer that names the field, and the conversation goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from asyncio import Task
from collections import defaultdict
from typing import Any, NoReturn

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from interaction.background.protocol import Told
from interaction.errors import InputError
from interaction.serve.call import SLOW, Call
from interaction.serve.house import BYE_S, Begun, House
from interaction.serve.line import Numbered, Stream
from interaction.serve.room import Turn

HELLO_S = 10.0  # for the first message
SLOW_S = 5.0  # for a client to read a turn
LONG = 500  # characters of an error's text


class Over(Exception):
    """The conversation ends, by the client's wish or fault."""

    def __init__(self, why: str, broke: bool = False) -> None:
        super().__init__(why)
        self.broke = broke  # the connection did: the client may come back


class Wire(ABC):
    """One connection's. Of a protocol are the methods without a body."""

    def __init__(self, house: House, socket: WebSocket) -> None:
        self.house, self.socket = house, socket
        self.limits = house.limits
        self._wrong = 0
        self._second, self._count = 0, 0
        self._begun: Begun | None = None
        self._recording: str | None = None  # its name
        self.thoughts: list[Told] = []  # of the background, since the last turn
        self.task: str | None = None  # which a turn has opened
        self._noted: dict[str, float] = defaultdict(float)  # turns dropped, by why

    @abstractmethod
    def read(self, got: dict[str, Any]) -> Any:
        """A message. Raises InputError or msgspec's DecodeError."""

    @abstractmethod
    async def begin(self) -> Begun:
        """Begin a conversation. Raises InputError when there is to be none, Over."""

    @abstractmethod
    async def heard(self, message: Any, call: Call) -> None:
        """Take a message. Raises InputError when it makes no sense, Over when it ends."""

    @abstractmethod
    async def said(self, turn: Turn) -> None:
        """Send a turn."""

    @abstractmethod
    async def wrong(self, what: str, got: dict[str, Any]) -> None:
        """Say what is wrong with a message."""

    @abstractmethod
    async def ended(self, why: str) -> None:
        """Say the last word."""

    def delegates(self) -> bool:
        """Whether the client takes delegations itself."""
        return False

    def context(self, call: Call) -> str:
        """What a background model is told beside the conversation."""
        return call.instructions

    async def run(self) -> None:
        try:
            begun = self._begun = await self._begin()
        except Over as over:
            await self._bye(str(over))
            return
        self.house.here.add(begun)
        if self.house.backstage and begun.call.partner is None:
            self.house.backstage.join(begun.call)
        speaking = asyncio.create_task(self._speak(begun))
        listening = asyncio.create_task(self._listen(begun.call))
        held = False
        try:
            held = await self._over(begun.call, speaking, listening)
        finally:
            speaking.cancel()
            listening.cancel()
            self._note(begun.line)
            if self._recording and self.house.archive:
                self.house.archive.end(self._recording)
            await self.house.part(begun, held)

    async def _over(self, call: Call, speaking: Task, listening: Task) -> bool:
        """Until the conversation is. -> whether its client may come back."""
        await asyncio.wait([speaking, listening], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([listening], timeout=BYE_S)  # it notices, if anybody is there
        if speaking.done():
            speaking.result()  # raises what nobody foresaw
        over = listening.exception() if listening.done() else Over("nobody reads")
        if not isinstance(over, Over):
            raise over or AssertionError
        if over.broke and not call.why:
            return True
        call.end(str(over))
        await asyncio.wait([speaking], timeout=BYE_S)  # the last words, and why it ended
        return False

    async def send(self, data: bytes | str) -> None:
        """Raises Over when nobody is there any more, once the conversation has begun: from
        then on somebody has to take care of it, and the listener notices."""
        try:
            if isinstance(data, bytes):
                await self.socket.send_bytes(data)
            else:
                await self.socket.send_text(data)
        except (WebSocketDisconnect, RuntimeError):
            if self._begun:
                raise Over("the connection broke", broke=True) from None

    def record(self, token: str, consent: bool = False) -> str | None:
        """Record this connection from its beginning, where the server records and the
        client consents: by `consent`, or by `consent=true` in the address. For `begin`,
        which tells the client. token: needed to delete it. -> its name."""
        archive = self.house.archive
        consent |= self.socket.query_params.get("consent") == "true"
        if archive is None or not consent:
            return None
        self._recording = archive.begin(token, type(self).__name__.lower())
        return self._recording

    async def first(self) -> Any:
        """The first message, where the client speaks first. Raises Over."""
        try:
            _, first = await asyncio.wait_for(self._next(), HELLO_S)
        except TimeoutError:
            raise Over(f"nothing was said within {HELLO_S:.0f} s") from None
        return first

    async def _begin(self) -> Begun:
        try:
            return await self.begin()
        except InputError as error:
            raise Over(str(error)) from None

    async def _listen(self, call: Call) -> NoReturn:
        """Until one side ends the conversation: raises Over."""
        while True:
            try:
                got, message = await asyncio.wait_for(self._next(), self.limits.idle_s)
            except TimeoutError:
                raise Over(f"nothing came for {self.limits.idle_s:.0f} s") from None
            try:
                await self.heard(message, call)
            except InputError as error:
                await self._complain(str(error), got)

    async def _speak(self, begun: Begun) -> None:
        """Until the conversation ends or nobody is there; the listener notices both."""
        with contextlib.suppress(Over):
            async for turn in begun.call.turns():
                self.house.metrics.missing.inc(turn.missing_ms / 1e3)
                self._note(begun.line)
                self._follow(begun.call, turn)
                if self._recording and self.house.archive:
                    self.house.archive.take(self._recording, turn)
                began = time.monotonic()
                self.house.metrics.queue.observe(max(began - turn.made_s, 0.0))
                try:
                    async with asyncio.timeout(SLOW_S):
                        await self.said(turn)
                except TimeoutError:
                    begun.call.end(SLOW)
                    return
                self.house.metrics.send.observe(time.monotonic() - began)
            await self._bye(begun.call.why or "")

    def _follow(self, call: Call, turn: Turn) -> None:
        """What the background makes of a turn, and has to show."""
        if call.partner and not self.delegates():
            call.partner.memory.instructions = self.context(call)
            at = f"/v1/recordings/{self._recording}" if self._recording else ""
            call.partner.memory.audio_at = at
            self.task = call.partner.follow(turn.out)
            self.thoughts = call.thoughts[:]
            call.thoughts.clear()

    def _note(self, line: Stream | Numbered) -> None:
        """What was dropped, and how evenly sound came, for the figures."""
        while line.pace.uneven_s:
            self.house.metrics.jitter.observe(line.pace.uneven_s.popleft())
        for why, n in line.dropped.items():
            self.house.metrics.dropped.labels(why).inc(n - self._noted[why])
            self._noted[why] = n

    async def _bye(self, why: str) -> None:
        """Unless nobody is there any more."""
        with contextlib.suppress(Over, WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(BYE_S):
                await self.ended(why)
                await self.socket.close()

    async def _next(self) -> tuple[dict[str, Any], Any]:
        """The next message that makes sense, raw and read. Raises Over when there will be
        none."""
        while True:
            got = dict(await self.socket.receive())
            if got["type"] == "websocket.disconnect":
                raise Over("the connection broke", broke=True)
            second = int(time.monotonic())
            self._count = self._count + 1 if second == self._second else 1
            self._second = second
            if self._count > self.limits.messages_per_s:
                raise Over(f"more than {self.limits.messages_per_s} messages a second")
            try:
                return got, self.read(got)
            except (msgspec.DecodeError, InputError, RecursionError) as error:
                await self._complain(str(error), got)

    async def _complain(self, what: str, got: dict[str, Any]) -> None:
        what = what if len(what) <= LONG else what[:LONG] + " ..."
        self._wrong += 1
        self.house.metrics.wrong.inc()
        if self._wrong > self.limits.wrong:
            raise Over(f"{self._wrong} wrong messages; the last: {what}")
        await self.wrong(what, got)
