"""Full-Duplex-Bench v1 (arXiv 2503.04721), from its formulas."""

from __future__ import annotations

from collections.abc import Sequence

from eval.sample import Span

SHORT_S = 1.0
FEW = 3


def took_turn(words: Sequence[Span]) -> int:
    """TOR of one sample: 0 without words, or with up to three that take less than a
    second from the first's start to the last's end; else 1."""
    if not words:
        return 0
    return int(words[-1].t1 - words[0].t0 >= SHORT_S or len(words) > FEW)


def latency(words: Sequence[Span], end: float) -> float:
    """From the end of the user's turn to the first word, in seconds; not below 0."""
    return max(words[0].t0 - end, 0.0)
