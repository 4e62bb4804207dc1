"""What every reader gives: a two-sided conversation, not yet decoded.

Sides are 0 and 1. Which of them is the agent is said outright: `agent` is a side, or None
where two people talk and either may be taken for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from interaction.data.dialogue import Lane, Word

PAUSE_S = 0.6  # a silence this long between words ends an utterance


@dataclass(frozen=True, eq=False)
class Track:
    """The sound of one side: a channel (from 0) of a sound or video file.

    channels: how many channels the file must have.
    start, seconds: the part of the file that is meant (None: to its end).
    data: the file's bytes where it lies inside another file; `path` then names that.
    wave: float32 [N] at 16 kHz in place of a file.
    """

    path: Path
    channel: int = 0
    channels: int = 1
    start: float = 0.0
    seconds: float | None = None
    data: bytes | None = None
    wave: np.ndarray | None = None


@dataclass(frozen=True)
class Said:
    """An utterance of one side.

    guessed: its words' times are spread over it evenly by letters, because the corpus
        does not give them.
    lane: for what is neither the user's nor the agent's speech (see `dialogue.Lane`).
    cut: when a barge-in cut it off, if the corpus says so.
    """

    side: int
    words: tuple[Word, ...]
    t0: float
    t1: float
    guessed: bool = False
    lane: Lane | None = None
    cut: float | None = None


@dataclass(frozen=True, eq=False)
class Conversation:
    """id: unique in its corpus. speakers: names of the sides. video: files by side, or
    `frames` already read: (t, uint8 [2, H, W, 3]) of what the agent sees.
    control: as in `Dialogue`, if the corpus has it."""

    id: str
    tracks: tuple[Track, Track]
    said: tuple[Said, ...]
    speakers: tuple[str, str]
    agent: int | None = None
    video: tuple[Path | None, Path | None] = (None, None)
    frames: tuple[tuple[float, np.ndarray], ...] = ()
    control: tuple[tuple[float, str], ...] | None = None


class Item(NamedTuple):
    """A conversation to be read. `load` raises InputError with the file at fault; it can
    be pickled, for it may run in another process."""

    name: str
    load: Callable[[], Conversation]


class Source(NamedTuple):
    """A corpus: how many items, and the items in an order that is always the same."""

    total: int
    items: Iterator[Item]


def spread(
    texts: Sequence[str],
    t0: float,
    t1: float,
    known: Sequence[tuple[float, float] | None] = (),
) -> tuple[Word, ...]:
    """Words with times. Those without `known` ones share the time between their
    neighbours (or the edges t0, t1) in proportion to their letters."""
    spans: list[tuple[float, float] | None] = list(known) or [None] * len(texts)
    words: list[Word] = []
    i = 0
    while i < len(texts):
        span = spans[i]
        if span is not None:
            words.append(Word(texts[i], *span))
            i += 1
            continue
        last = i
        while last < len(texts) and spans[last] is None:
            last += 1
        begin = words[-1].t1 if words else t0
        after = spans[last][0] if last < len(texts) else t1  # type: ignore[index]
        letters = np.cumsum([0] + [len(text) for text in texts[i:last]])
        edges = (begin + max(after - begin, 0.0) * letters / letters[-1]).tolist()
        for k, text in enumerate(texts[i:last]):
            words.append(Word(text, edges[k], edges[k + 1]))
        i = last
    return tuple(words)


def utterances(side: int, words: Sequence[Word], guessed: bool = False) -> list[Said]:
    """Timed words of a side as utterances, parted where it pauses."""
    found: list[list[Word]] = []
    for word in sorted(words, key=lambda w: (w.t0, w.t1)):
        if found and word.t0 - found[-1][-1].t1 < PAUSE_S:
            found[-1].append(word)
        else:
            found.append([word])
    return [
        Said(side, tuple(group), group[0].t0, max(w.t1 for w in group), guessed)
        for group in found
    ]
