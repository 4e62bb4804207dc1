"""Words and stretches of speech, put together to what was said in one go."""

from __future__ import annotations

import re
from collections.abc import Sequence

from eval.sample import Span

GAP_S = 0.3  # a longer silence between words parts utterances
WORD_GAP_S = 0.2  # a longer silence is none between words


def utterances(words: Sequence[Span]) -> list[Span]:
    """Words, in order -> utterances."""
    said: list[Span] = []
    for word in words:
        if said and word.t0 - said[-1].t1 <= GAP_S:
            said[-1] = Span(f"{said[-1].text} {word.text}", said[-1].t0, word.t1)
        else:
            said.append(word)
    return said


def speaking(
    segments: Sequence[tuple[float, float]], t: float
) -> tuple[float, float] | None:
    """The stretch of speech that is going on at `t`, over silences between words."""
    joined: list[tuple[float, float]] = []
    for a, b in segments:
        if joined and a - joined[-1][1] <= WORD_GAP_S:
            joined[-1] = (joined[-1][0], b)
        else:
            joined.append((a, b))
    return next(((a, b) for a, b in joined if a <= t < b), None)


def plain(text: str) -> list[str]:
    """Lower-case words without punctuation."""
    return re.sub(r"[^\w\s']", " ", text.lower()).split()


def texts(words: Sequence[Span]) -> list[str]:
    return [piece for word in words for piece in plain(word.text)]
