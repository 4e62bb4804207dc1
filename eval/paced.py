"""Systems at the other end of a connection, which live on a clock of their own.

A turn's sound goes out when the turn is over, and what has come back plays from the next
turn on: the rule of lockstep, in real time. So latencies hold what the system and the way
to it take, rounded up to turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Protocol

from eval.agent import Heard, Said
from eval.loudspeaker import Loudspeaker
from eval.sample import Sample
from interaction.errors import InputError

HELLO_S = 30.0  # for a conversation to begin
BYE_S = 5.0  # for it to end


class Broken(Exception):
    """A conversation ended that should have gone on; why."""


class Link(Protocol):
    """One conversation. Its coroutines run in the agent's loop."""

    async def hear(self, heard: Heard) -> None:
        """Send a turn."""

    async def listen(self) -> None:
        """Play what comes, until the other side ends. Raises Broken."""


Connect = Callable[[Sample], AbstractAsyncContextManager[tuple[Link, Loudspeaker]]]
"""Begins a conversation, and ends it."""


class Paced:
    """An agent of `slots` conversations at once, in one thread of its own."""

    paced = True

    def __init__(self, name: str, slots: int, connect: Connect) -> None:
        self.name, self.slots = name, slots
        self._connect = connect
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name=name, daemon=True).start()

    def open(self, samples: Sequence[Sample]) -> _Talks:
        return _Talks(self._loop, [_Talk(self._connect(sample)) for sample in samples])


class _Talk:
    def __init__(self, connection: AbstractAsyncContextManager) -> None:
        self._connection = connection
        self._stack = AsyncExitStack()
        self._turns: asyncio.Queue[Heard] = asyncio.Queue()
        self._tasks: list[asyncio.Task] = []
        self._link: Link
        self.speaker: Loudspeaker
        self.broken: BaseException | None = None

    async def begin(self) -> None:
        async with asyncio.timeout(HELLO_S):
            entered = await self._stack.enter_async_context(self._connection)
        self._link, self.speaker = entered
        self._tasks = [
            asyncio.create_task(self._watch(self._send())),
            asyncio.create_task(self._watch(self._listen())),
        ]

    async def _watch(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            self.broken = self.broken or error

    async def _send(self) -> None:
        while True:
            await self._link.hear(await self._turns.get())

    async def _listen(self) -> None:
        await self._link.listen()
        raise Broken("the system ended the conversation")

    def hear(self, heard: Heard) -> None:
        self._turns.put_nowait(heard)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(Exception):  # it may be broken
            async with asyncio.timeout(BYE_S):
                await self._stack.aclose()


class _Talks:
    def __init__(self, loop: asyncio.AbstractEventLoop, talks: Sequence[_Talk]) -> None:
        self._loop, self._talks = loop, talks
        try:
            self._run(talk.begin() for talk in talks)
        except BaseException:
            self.close()
            raise

    def _run(self, works: Iterable[Coroutine[Any, Any, None]]) -> None:
        async def together() -> None:
            done = await asyncio.gather(*works, return_exceptions=True)
            for error in done:
                if error is not None:
                    raise error

        asyncio.run_coroutine_threadsafe(together(), self._loop).result()

    def step(self, heard: Sequence[Heard]) -> list[Said]:
        """Waits for nothing. Raises Broken."""
        # What plays is settled before the turn goes out: no answer comes in its question.
        said = [talk.speaker.turn() for talk in self._talks]
        for talk, each in zip(self._talks, heard, strict=True):
            if talk.broken:
                raise Broken(f"{type(talk.broken).__name__}: {talk.broken}")
            self._loop.call_soon_threadsafe(talk.hear, each)
        return said

    def close(self) -> None:
        self._run(talk.end() for talk in self._talks)


def chosen(agent: str, given: Mapping[str, str], **usual: str) -> dict[str, str]:
    """An agent's arguments over its usual ones. Raises InputError."""
    unknown = sorted(set(given) - set(usual))
    if unknown:
        raise InputError(
            f"--agent_args: {agent} has no {unknown[0]!r}; it takes {', '.join(usual)}"
        )
    return usual | dict(given)


def number(agent: str, name: str, text: str, least: int = 1) -> int:
    """Raises InputError."""
    if not text.isdecimal() or int(text) < least:
        raise InputError(f"--agent_args: {agent} takes {name} of {least} or more")
    return int(text)


def key(name: str) -> str:
    """A key from the environment; "none" for servers that ask for none."""
    return os.environ.get(name) or "none"


def missing(error: ModuleNotFoundError) -> InputError:
    return InputError(f"{error.name} is missing: pip install 'interaction[eval]'")
