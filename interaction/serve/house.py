"""What the connections of a server share, and how a conversation enters and leaves."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

from starlette.requests import HTTPConnection

from interaction.conversation import TURN_S
from interaction.errors import InputError
from interaction.serve.archive import Archive
from interaction.serve.away import Away
from interaction.serve.backstage import Backstage
from interaction.serve.call import Call
from interaction.serve.engine import Full
from interaction.serve.limits import Limits
from interaction.serve.line import Numbered, Stream
from interaction.serve.metrics import Metrics
from interaction.serve.room import STOPPING, Room

BYE_S = 5.0  # for a client to read the last turns
CROWDED = "too many connections; try again later"


class Refusal(NamedTuple):
    """crowded: not this client's fault; it may try again later."""

    why: str
    crowded: bool = False


class Begun(NamedTuple):
    """token: by which a broken conversation is taken up again; None where a protocol has
    no way to."""

    call: Call
    line: Stream | Numbered
    token: str | None = None


@dataclass(eq=False)
class House:
    """What connections share: the room, who is in it and who is away, and the rules."""

    room: Room
    limits: Limits
    metrics: Metrics
    away: Away
    archive: Archive | None = None
    backstage: Backstage | None = None
    temperature: float = 0.0  # where a protocol says nothing of it
    draining: bool = False
    connections: int = 0
    here: set[Begun] = field(default_factory=set)
    turn_ms: int = round(1000 * TURN_S)

    def turns_away(self, client: HTTPConnection) -> Refusal | None:
        """A connection, before it says anything."""
        if why := self.limits.refuses(client):
            return Refusal(why)
        if self.connections >= self.limits.connections:
            return Refusal(CROWDED, crowded=True)
        return None

    async def admit(self, call: Call, seed: int, temperature: float) -> None:
        """Raises InputError, saying why not."""
        await self._enter(lambda: self.room.admit(call, seed, temperature))

    async def back(self, token: str, fork: bool) -> tuple[Call, str]:
        """-> a call on a `Numbered` line, and its token. Raises InputError."""
        return await self.away.back(token, fork, self._enter)

    async def _enter(self, ask: Callable[[], Future[None]]) -> None:
        try:
            if self.draining:
                raise Full(STOPPING)
            await asyncio.wrap_future(ask())
        except Full:
            self.metrics.refused.inc()
            raise

    async def part(self, begun: Begun, held: bool) -> None:
        """A connection is over; its conversation too, unless it is held."""
        self.here.discard(begun)
        if held and begun.token and self.limits.grace_s:
            with contextlib.suppress(InputError):
                await self.away.hold(begun.token, begun.call)
                return
        self.metrics.ended.inc()
        await asyncio.wrap_future(self.room.leave(begun.call))
        await begun.call.part()

    async def close(self) -> None:
        """The server stops: conversations still here end, or leave for the shelf."""
        self.draining = True
        await asyncio.gather(*[self.away.leave(b.token, b.call) for b in self.here])
        end = time.monotonic() + BYE_S
        while self.here and time.monotonic() < end:
            await asyncio.sleep(0.02)
