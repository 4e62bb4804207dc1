"""Who does the thinking: one face, several minds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from interaction.background.protocol import Context, Update
from interaction.background.toolbox import Confirm, Toolbox


class Backend(Protocol):
    """A background model. `run` streams a task's updates and ends with Final or Failed; it
    raises `Lost` where trying again may help. When its consumer cancels it, it leaves
    nothing behind. `close` ends what all tasks share."""

    def run(
        self, context: Context, tools: Toolbox, confirm: Confirm
    ) -> AsyncIterator[Update]: ...

    async def close(self) -> None: ...


class Lost(Exception):
    """The mind was lost on the way: a connection broke, a process died."""
