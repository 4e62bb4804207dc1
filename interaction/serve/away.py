"""Conversations whose client is not there: held in their slot for a while, and on a shelf.

Each goes by a token that its client was told, and comes back by it: at once from its slot,
or from its file, in this process or another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass

from interaction.errors import InputError
from interaction.serve.call import Call
from interaction.serve.line import Numbered
from interaction.serve.metrics import Metrics
from interaction.serve.room import STOPPING, Room
from interaction.serve.shelf import Shelf

SWEEP_S = 60.0  # between looks at the shelf

Enter = Callable[[Callable[[], Future[None]]], Awaitable[None]]


def new_token() -> str:
    return secrets.token_urlsafe(24)


@dataclass
class Held:
    """No time passes for it. filing: its way to the shelf."""

    call: Call
    turns: int
    until: float
    filing: asyncio.Task[None] | None = None


class Away:
    """shelf: None where nothing goes to disk."""

    def __init__(
        self, room: Room, metrics: Metrics, grace_s: float, shelf: Shelf | None
    ) -> None:
        self._room, self._metrics, self._grace_s = room, metrics, grace_s
        self._held: dict[str, Held] = {}
        self.shelf = shelf

    def __len__(self) -> int:
        """How many are held."""
        return len(self._held)

    async def hold(self, token: str, call: Call) -> None:
        """Its connection broke. Raises InputError when the conversation has ended."""
        turns = await asyncio.wrap_future(self._room.hold(call))
        held = Held(call, turns, time.monotonic() + self._grace_s)
        if self.shelf:
            held.filing = asyncio.create_task(self._try_file(token, call))
        self._held[token] = held

    async def file(self, token: str, call: Call) -> int:
        """Put a conversation on the shelf as it is now. -> turns of its clock. Raises
        InputError."""
        if self.shelf is None:
            raise InputError("snapshot: this server keeps none; start it with --snapshots")
        taken = await asyncio.wrap_future(self._room.snapshot(call))
        await asyncio.to_thread(self.shelf.put, token, taken)
        self._metrics.snapshots.inc()
        return taken.turns

    async def _try_file(self, token: str, call: Call) -> None:
        try:
            await self.file(token, call)
        except InputError:  # it still has its slot
            self._metrics.unfiled.inc()

    async def back(self, token: str, fork: bool, enter: Enter) -> tuple[Call, str]:
        """Go on with a conversation. enter: admits it where it needs a slot. -> a call on a
        `Numbered` line, and its token. Raises InputError."""
        if not fork and token in self._held:
            return await self._rejoin(token), token
        if held := self._held.get(token):
            taken = await asyncio.wrap_future(self._room.snapshot(held.call))
        elif self.shelf:
            taken = await asyncio.to_thread(self.shelf.take, token, fork)
        else:
            raise InputError("no conversation waits under this token; begin a new one")
        call = Call(Numbered(taken.delay, first=taken.turns))
        try:
            await enter(lambda: self._room.resume(call, taken))
        except BaseException:
            if self.shelf and not fork:
                await asyncio.to_thread(self.shelf.put_back, token)
            raise
        if self.shelf and not fork:
            await asyncio.to_thread(self.shelf.drop, token)
        return call, new_token() if fork else token

    async def _rejoin(self, token: str) -> Call:
        held = self._held.pop(token)
        call = Call(Numbered(held.call.line.delay, first=held.turns))
        await asyncio.wrap_future(self._room.rejoin(held.call, call))
        call.succeed(held.call)
        if self.shelf and held.filing:
            await held.filing
            await asyncio.to_thread(self.shelf.drop, token)
        return call

    async def forget(self, token: str) -> None:
        """Nothing waits under this token any more: no file, and no slot. Of a conversation
        that has a connection nothing waits."""
        if token in self._held:
            await self._let_go(token)
        if self.shelf:
            await asyncio.to_thread(self.shelf.drop, token)

    async def _let_go(self, token: str) -> None:
        """End a conversation that is held; its file stays."""
        self._metrics.ended.inc()
        held = self._held.pop(token)
        if held.filing:
            await held.filing
        await asyncio.wrap_future(self._room.leave(held.call))
        await held.call.part()

    async def leave(self, token: str | None, call: Call) -> None:
        """The server stops. What can go on elsewhere does, and its client is told."""
        why = STOPPING
        if self.shelf and token:
            with contextlib.suppress(InputError):
                await asyncio.wrap_future(self._room.hold(call))
                await self.file(token, call)
                why += "; what was said is kept: `resume` goes on"
        call.end(why)

    async def settle(self) -> None:
        """Wait for what is on its way to the shelf."""
        await asyncio.gather(*[held.filing for held in self._held.values() if held.filing])

    async def sweep(self) -> None:
        """End what was held too long, and what was kept too long, until cancelled."""
        swept = 0.0
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            for token in [t for t, held in self._held.items() if held.until < now]:
                await self._let_go(token)
            if self.shelf and now - swept > SWEEP_S:
                swept = now
                with contextlib.suppress(OSError):
                    await asyncio.to_thread(self.shelf.sweep)
