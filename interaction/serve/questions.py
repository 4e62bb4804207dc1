"""Whether tools may act: asked of a conversation's user, through its client."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from interaction.background.protocol import ToolSpec
from interaction.background.toolbox import described
from interaction.errors import InputError
from interaction.serve import messages as m

WAIT_S = 30.0  # for an answer
LONG = 1_000  # characters of what is asked


class Questions:
    """Lives in one event loop. asks: whether the client has a way to ask; where it has
    not, the answer is no."""

    def __init__(self, wait_s: float = WAIT_S) -> None:
        self.asks = False
        self._wait_s = wait_s
        self._numbers = itertools.count()
        self._open: dict[int, tuple[m.Ask, asyncio.Future[bool]]] = {}
        self._untold: list[int] = []

    async def ask(self, spec: ToolSpec, arguments: dict[str, Any]) -> bool:
        """`toolbox.Confirm`."""
        if not self.asks:
            return False
        number, answer = next(self._numbers), asyncio.get_running_loop().create_future()
        given, about = described(arguments)[:LONG], spec.description[:LONG]
        question = m.Ask(number, spec.name, about, given, self._wait_s)
        self._open[number] = question, answer
        self._untold.append(number)
        try:
            async with asyncio.timeout(self._wait_s):
                return await answer
        except TimeoutError:
            return False
        finally:
            del self._open[number]

    def news(self) -> list[m.Ask]:
        """What the client has not been told yet."""
        numbers, self._untold = self._untold, []
        return [self._open[n][0] for n in numbers if n in self._open]

    def again(self) -> None:
        """Another client is there, who knows of none."""
        self._untold = list(self._open)

    def answer(self, number: int, yes: bool) -> None:
        """Raises InputError where nothing waits for it."""
        if number not in self._open:
            raise InputError(f"number: nothing waits for an answer to {number}")
        future = self._open[number][1]
        if not future.done():
            future.set_result(yes)
