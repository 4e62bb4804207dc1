"""Whether a tool may act, where there is nothing to click: asked and answered in words.

The question is read by the interaction model, which puts it to the user. Only the user's
own words answer it: heard or typed, after the model has read the question and spoken since.
What tools write comes by another channel, and is never looked at here.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

from interaction.background.protocol import ToolSpec
from interaction.background.reading import Reading
from interaction.background.toolbox import described
from interaction.conversation import Output
from interaction.grammar import Kind

YES = frozenset("yes yeah yep yup sure ok okay".split())
NO = frozenset("no nope not don't dont never stop wait cancel".split())
BESIDE = frozenset("please do it go ahead that's fine oh uh um well".split())  # a yes
QUIET_S = 1.0  # after a yes: more words may follow
WAIT_S = 30.0  # for an answer; then it is a no
LONG = 300  # characters of a question: who cannot be told all is not asked
QUESTION = "question"  # a question's name among what waits to be read


def plain(text: str) -> set[str]:
    """Its words, without case and stops."""
    return {word.casefold().strip('.,;:!?"') for word in text.split()}


class Asking:
    """Of one conversation; one question at a time."""

    def __init__(self, reading: Reading, wait_s: float = WAIT_S) -> None:
        self._reading, self._wait_s = reading, wait_s
        self._free = asyncio.Lock()
        self._answer: asyncio.Future[bool] | None = None
        self._given = self._read = False  # handed over; seen in a turn's input
        self._from_s = math.inf  # the user has been asked
        self._said = ""  # an utterance since, and when the last of it was heard
        self._last_s = 0.0

    async def ask(self, spec: ToolSpec, arguments: dict[str, Any]) -> bool:
        """`toolbox.Confirm`."""
        question = f"may I {spec.name} {described(arguments)}".strip() + "?"
        if len(question) > LONG:
            return False
        async with self._free:
            self._begin()
            self._reading.put(QUESTION, question, lambda read: self._put(read == question))
            try:
                async with asyncio.timeout(self._wait_s):
                    assert self._answer is not None
                    return await self._answer
            except TimeoutError:
                return False
            finally:
                self._answer = None
                self._reading.drop(lambda whose: whose == QUESTION)

    def follow(self, out: Output) -> None:
        """One micro-turn."""
        if self._answer is None or not self._given:
            return
        for event in out.events:
            if event.lane == "user" and event.t_s > self._from_s:
                self._take(event.text, event.t_s)
        if self._said and out.turn_s - self._last_s >= QUIET_S:
            self._judge()
        self._read |= bool(out.given.text) and out.given.channel == Kind.BACKGROUND
        if self._read and out.text.strip():
            self._from_s = min(self._from_s, out.turn_s)

    def typed(self, text: str, now_s: float) -> None:
        """By the user."""
        if self._answer is not None and now_s >= self._from_s:
            self._take(f" {text} ", now_s)

    def _begin(self) -> None:
        self._answer = asyncio.get_running_loop().create_future()
        self._given = self._read = False
        self._from_s, self._said = math.inf, ""

    def _put(self, whole: bool) -> None:
        self._given = whole

    def _take(self, text: str, t_s: float) -> None:
        """Words, or a piece of one: the last may go on, from "no" to "nothing"."""
        self._said += text
        self._last_s = t_s
        if plain(self._said.rpartition(" ")[0]) & NO:
            self._settle(False)

    def _judge(self) -> None:
        """An utterance is over. One that is more than a yes answers nothing."""
        said, self._said = plain(self._said), ""
        if said & NO:
            self._settle(False)
        elif said & YES and said <= YES | BESIDE:
            self._settle(True)

    def _settle(self, yes: bool) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(yes)
