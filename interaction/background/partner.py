"""The background half of one conversation: follows it, takes its delegations, and has the
results read to the interaction model.

The interaction model reads words of its background at micro-turn boundaries, a few a turn,
so that they never break the tick, and a task that is cancelled falls silent; what is longer
is cut. What tools wrote comes by that channel and no other: it opens no task, and instructs
nobody.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

from interaction.background.asking import Asking
from interaction.background.backends import Backend
from interaction.background.desk import CANCELLED, Desk, Limits
from interaction.background.memory import Memory
from interaction.background.protocol import (
    Commentary,
    Failed,
    Final,
    Told,
    Update,
)
from interaction.background.reading import Reading
from interaction.background.toolbox import Confirm, Tool, Toolbox
from interaction.conversation import Output
from interaction.grammar import MAX_TEXT_IN, Kind

CANCEL = "cancel"  # a directive that ends all tasks in place of opening one
INSTEAD = "instead"  # the first word of one that ends them, and opens another
LONGEST = 400  # characters that are read of one update
TIMER = "timer"  # the word before the label of one that has run out, and its task
FAILED = "failed"  # the word before a failure's reason


def words(update: Update) -> str:
    """What the interaction model reads of an update; nothing of what is for others."""
    match update:
        case Commentary(text) | Final(text):
            return text[:LONGEST]
        case Failed(why) if why != CANCELLED:
            return f"{FAILED} {why}"[:LONGEST]
    return ""


class Order(NamedTuple):
    """ends: the tasks that are open; begins: another, whose directive is `rest`."""

    ends: bool
    begins: bool
    rest: str


def order(directive: str) -> Order:
    """What a delegation asks for."""
    first, _, rest = directive.partition(" ")
    if first == INSTEAD:
        return Order(ends=True, begins=True, rest=rest.strip())
    cancels = directive == CANCEL
    return Order(ends=cancels, begins=not cancels, rest=directive)


class Partner:
    """Lives in one event loop. read: words for the interaction model, False when too many
    wait: they are offered again with the next turn; show: every update, for the client;
    confirm: None where the user is asked in words; owned: tools that end with it."""

    def __init__(
        self,
        backend: Backend,
        tools: Toolbox,
        read: Callable[[str], bool],
        show: Callable[[Told], None],
        confirm: Confirm | None = None,
        limits: Limits = Limits(),  # noqa: B008  (frozen)
        owned: Sequence[Tool] = (),
    ) -> None:
        self.memory = Memory()
        self.reading = Reading(read)
        self.asking = Asking(self.reading)
        self.desk = Desk(backend, tools, self._told, confirm or self.asking.ask, limits)
        self._tools, self._show, self._owned = tools, show, owned
        self._numbers = itertools.count(1)
        self._now_s = 0.0

    def follow(self, out: Output) -> str | None:
        """One micro-turn. -> the task that it opened."""
        self._now_s = out.turn_s
        self.memory.follow(out)
        self.asking.follow(out)
        task = None
        if Kind.DELEGATE.name in {event.kind for event in out.events}:
            asked = order(out.directive)
            if asked.ends:
                self.cancel()
            if asked.begins:
                task = self._open(out.turn_s, asked.rest)
        # Where a turn was read full, some of what it was given may wait still.
        if len(out.given.text) < MAX_TEXT_IN:
            self.reading.turn()
        return task

    def _open(self, now_s: float, directive: str) -> str:
        task = f"task_{next(self._numbers)}"
        self.memory.note("delegated", now_s, directive)
        self.desk.open(self.memory.context(task, now_s, directive, self._tools.specs))
        return task

    def typed(self, text: str) -> None:
        """By the user."""
        self.memory.note("typed", self._now_s, text)
        self.asking.typed(text, self._now_s)

    def cancel(self, task: str | None = None) -> tuple[str, ...]:
        """A task, or all. What has not been read of it will not be, if it has ended too.
        -> those that were open."""
        found = self.desk.cancel(task)
        self.reading.drop(lambda whose: whose == task or (task is None and whose != TIMER))
        for name in found:
            self.memory.note("cancelled", self._now_s, name)
        return found

    def remind(self, label: str) -> None:
        """A timer has run out."""
        self._told(Told(TIMER, Commentary(f"{TIMER} {label}")))

    async def close(self) -> None:
        self.reading.drop(lambda whose: True)
        await self.desk.close()
        for tool in self._owned:
            await tool.close()

    def _told(self, told: Told) -> None:
        if text := words(told.update):
            kind = "failed" if isinstance(told.update, Failed) else "result"
            self.reading.put(told.task, text, lambda read: self._note(kind, read))
        self._show(told)

    def _note(self, kind: str, text: str) -> None:
        self.memory.note(kind, self._now_s, text)
