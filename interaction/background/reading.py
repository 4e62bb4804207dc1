"""What waits to be read to the interaction model: in order, a few words a turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

FEW = 8  # words that are handed over in a turn; it has room for as many tokens
SHORT = 40  # characters of them, and of a word: longer ones are cut into several
MOST = 32  # texts that wait, at most; the newest


@dataclass
class _Waiting:
    """left, read: words that wait, and that have been handed over."""

    task: str
    text: str
    done: Callable[[str], None]
    left: list[str]
    read: list[str] = field(default_factory=list)


class Reading:
    """Of one conversation. read: takes words; False where there is no room for them."""

    def __init__(self, read: Callable[[str], bool]) -> None:
        self.read = read
        self._waiting: deque[_Waiting] = deque(maxlen=MOST)
        self._words, self._room = FEW, SHORT  # that may still go in this turn

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    def put(self, task: str, text: str, done: Callable[[str], None]) -> None:
        """Words of a task's; at once, where the turn has room. done: told, once, what of
        the text was handed over: nothing of it where it was dropped before."""
        cut = [w[i : i + SHORT] for w in text.split() for i in range(0, len(w), SHORT)]
        if cut:
            self._waiting.append(_Waiting(task, text, done, cut))
            self._hand_over()

    def turn(self) -> None:
        """Another turn has room."""
        self._words, self._room = FEW, SHORT
        self._hand_over()

    def drop(self, which: Callable[[str], bool]) -> None:
        """What waits of the tasks of which this holds."""
        gone = [it for it in self._waiting if which(it.task)]
        for it in gone:
            self._waiting.remove(it)
            if it.read:
                it.done(" ".join(it.read))

    def _hand_over(self) -> None:
        while self._waiting:
            first = self._waiting[0]
            few = self._few(first.left)
            if not few or not self.read(" ".join(few)):
                return
            self._words -= len(few)
            self._room -= sum(map(len, few))
            first.read += few
            del first.left[: len(few)]
            if first.left:
                return
            self._waiting.popleft()
            first.done(first.text)

    def _few(self, words: list[str]) -> list[str]:
        """The first of them that the turn has room for; what fits a turn is not parted."""
        room, few = self._room, []
        for word in words[: self._words]:
            room -= len(word)
            if room < 0:
                break
            few.append(word)
        whole = len(words) <= FEW and sum(map(len, words)) <= SHORT
        return [] if whole and len(few) < len(words) else few
