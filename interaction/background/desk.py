"""A conversation's tasks: opened, followed to their end, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from interaction.background.backends import Backend, Lost
from interaction.background.protocol import Context, Failed, Final, Told, Update
from interaction.background.toolbox import Confirm, Toolbox, refuse

BUSY = "too much is being looked up already"
LATE = "it took too long"
BROKE = "something went wrong on the way"
LOST = "the connection was lost"
CANCELLED = "cancelled"


@dataclass(frozen=True)
class Limits:
    """tasks: at once; deadline_s: of a task, with its retries; retries: after `Lost`;
    pause_s: before the first of them, twice that before the next."""

    tasks: int = 4
    deadline_s: float = 120.0
    retries: int = 1
    pause_s: float = 0.5


class Desk:
    """Tasks of one conversation, in the event loop that it was made in. Every task that is
    opened ends with `Final` or `Failed`, told once, and nothing of it is told after."""

    def __init__(
        self,
        backend: Backend,
        tools: Toolbox,
        tell: Callable[[Told], None],
        confirm: Confirm = refuse,
        limits: Limits = Limits(),  # noqa: B008  (frozen)
    ) -> None:
        self._backend, self._tools, self._tell = backend, tools, tell
        self._confirm, self._limits = confirm, limits
        self._running: dict[str, asyncio.Task[None]] = {}

    @property
    def open_tasks(self) -> tuple[str, ...]:
        return tuple(self._running)

    def open(self, context: Context) -> None:
        """Begin a task. One too many fails at once."""
        if len(self._running) >= self._limits.tasks:
            self._tell(Told(context.task, Failed(BUSY)))
            return
        running = asyncio.create_task(self._follow(context))
        self._running[context.task] = running
        running.add_done_callback(lambda _: self._running.pop(context.task, None))

    def cancel(self, task: str | None = None) -> tuple[str, ...]:
        """A task, or all. -> those that were open."""
        mine = [task] if task is not None else list(self._running)
        found = tuple(name for name in mine if name in self._running)
        for name in found:
            self._running.pop(name).cancel()
            self._tell(Told(name, Failed(CANCELLED)))
        return found

    async def close(self) -> None:
        """The conversation is over: nothing more is told."""
        running = list(self._running.values())
        self._running.clear()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _follow(self, context: Context) -> None:
        try:
            async with asyncio.timeout(self._limits.deadline_s):
                last = await self._tries(context)
        except TimeoutError:
            last = Failed(LATE)
        except Exception:
            last = Failed(BROKE)
        if context.task in self._running:
            self._tell(Told(context.task, last))

    async def _tries(self, context: Context) -> Update:
        """-> the last update, not told yet."""
        for attempt in range(self._limits.retries + 1):
            if attempt:
                await asyncio.sleep(self._limits.pause_s * 2 ** (attempt - 1))
            try:
                return await self._once(context)
            except Lost:
                continue
        return Failed(LOST)

    async def _once(self, context: Context) -> Update:
        updates: AsyncIterator[Update] = self._backend.run(
            context, self._tools, self._confirm
        )
        async with aclosing(updates) as each:  # type: ignore[type-var]
            async for update in each:
                if isinstance(update, Final | Failed):
                    return update
                self._tell(Told(context.task, update))
        return Failed(BROKE)
