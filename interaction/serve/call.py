"""A conversation's bridge between the room's thread and a protocol's coroutine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import numpy as np

from interaction.background.partner import Partner
from interaction.background.protocol import Told
from interaction.conversation import Words
from interaction.grammar import Kind
from interaction.serve.line import Numbered, Stream
from interaction.serve.questions import Questions
from interaction.serve.room import Turn

MOST = 25  # turns that wait for a client that reads slowly; five seconds
SLOW = f"{MOST} turns wait to be read; read faster"
WORDS = 4_000  # characters that wait for the next turn


class Call:
    """Made in the event loop that reads it. `line` is written by the protocol. partner: the
    background model's half, where the server has one; thoughts: what it has to show;
    questions: what it has to ask."""

    def __init__(self, line: Stream | Numbered) -> None:
        self.line = line
        self.why: str | None = None  # once it has ended
        self.instructions = ""
        self.partner: Partner | None = None
        self.thoughts: list[Told] = []
        self.questions = Questions()
        self._loop = asyncio.get_running_loop()
        self._turns: asyncio.Queue[Turn | None] = asyncio.Queue()
        self._lock = threading.Lock()
        self._pictures: np.ndarray | None = None
        self._words: list[Words] = []

    def see(self, pair: np.ndarray) -> None:
        """uint8 [2, H, W, 3]; the newest that has not been looked at counts."""
        self._pictures = pair

    def read(self, text: str, channel: Kind = Kind.USER) -> bool:
        """Words for the next turn. -> False when too many wait."""
        with self._lock:
            if sum(len(words.text) for words in self._words) + len(text) > WORDS:
                return False
            self._words.append(Words(text, channel))
        if channel == Kind.INSTRUCT:
            self.instructions = f"{self.instructions}\n{text}".strip()[-WORDS:]
        elif channel == Kind.USER and self.partner:
            self.partner.typed(text)
        return True

    def succeed(self, before: Call) -> None:
        """Go on for a call whose connection broke: its background comes along, and what
        that said meanwhile."""
        self.thoughts, self.instructions = before.thoughts, before.instructions
        before.questions.asks, self.questions = self.questions.asks, before.questions
        self.questions.again()
        if before.partner:
            self.partner = before.partner
            self.partner.reading.read = lambda text: self.read(text, Kind.BACKGROUND)
        with before._lock, self._lock:
            self._words, before._words = [*before._words, *self._words], []

    async def part(self) -> None:
        """Nobody will come back: what the background still does ends."""
        if self.partner:
            await self.partner.close()

    async def turns(self) -> AsyncIterator[Turn]:
        """As they come, until the conversation ends (`why`)."""
        while (turn := await self._turns.get()) is not None:
            yield turn

    # What follows is called in the room's thread.

    def brings(self) -> tuple[np.ndarray | None, list[Words]]:
        with self._lock:
            words, self._words = self._words, []
        pair, self._pictures = self._pictures, None
        return pair, words

    def given(self, turn: Turn) -> None:
        if self._turns.qsize() > MOST:
            raise BufferError(SLOW)
        self._loop.call_soon_threadsafe(self._turns.put_nowait, turn)

    def ended(self, why: str) -> None:
        self._loop.call_soon_threadsafe(self.end, why)

    def end(self, why: str) -> None:
        """In the event loop: nothing more will come. The first reason counts."""
        self.why = self.why or why
        self._turns.put_nowait(None)
