"""Full-Duplex-Bench v1 (arXiv 2503.04721) and v1.5 (2507.23159), from their formulas.

Times are seconds. Where the published code does what one would not expect, the formula
does too, and its docstring says so: the siblings that do not mislead are the tasks'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import jensenshannon

from eval.sample import Span

Interval = tuple[float, float]

SHORT_S = 1.0
FEW = 3
LONG_S = 3.0  # a longer stretch of speech is no backchannel
BIN_S = 0.2
FLOOR = 1e-10  # of every bin, before they are made to sum to 1
USER_GAP_S = 0.6
SYSTEM_GAP_S = 0.5
BEHAVIOURS = ("C_RESPOND", "C_RESUME", "C_UNCERTAIN_HANDLING", "C_UNKNOWN")


def took_turn(words: Sequence[Span]) -> int:
    """TOR of one sample: 0 without words, or with up to three that take less than a
    second from the first's start to the last's end; else 1."""
    if not words:
        return 0
    return int(words[-1].t1 - words[0].t0 >= SHORT_S or len(words) > FEW)


def latency(words: Sequence[Span], end: float) -> float:
    """From the end of the user's turn to the first word, in seconds; not below 0."""
    return max(words[0].t0 - end, 0.0)


class Backchannel(NamedTuple):
    """took_turn: TOR; said: stretches that count as backchannels; frequency: of them, a
    second; ever_took_turn: whether any stretch was a turn (a sibling of ours)."""

    took_turn: int
    said: list[Interval]
    frequency: float
    ever_took_turn: int


def backchannel(
    segments: Sequence[Interval], words: Sequence[Span], seconds: float
) -> Backchannel:
    """Of one sample's stretches of speech, by Silero's detector.

    Times count in tenths of a second. A stretch of over 3 s is a turn, and nothing behind
    it counts. Any other is a backchannel by its length alone, and each of them overwrites
    TOR: 1 for three words or more, or a second or more; else 0.
    """
    turn, said, turns = 0, [], []
    for segment in segments:
        a, b = max(round(segment[0], 1), 0), min(round(segment[1], 1), seconds)
        if b - a > LONG_S:
            turn = 1
            turns.append(turn)
            break
        n = sum(_touches(word, a, b) for word in words)
        turn = int(n >= FEW or b - a >= SHORT_S)
        turns.append(turn)
        said.append((a, b))
    return Backchannel(turn, said, len(said) / seconds, int(any(turns)))


def _touches(word: Span, a: float, b: float) -> bool:
    inside = word.t0 >= a and word.t1 <= b
    return inside or word.t0 <= b < word.t1 or word.t0 <= a < word.t1


def divergence(said: Sequence[Interval], seconds: float, people: Sequence[float]) -> float:
    """JSD of when a system backchannels and when people did, over bins of 0.2 s. people:
    their distribution, stretched to as many bins. It is the Jensen-Shannon distance (the
    root of the divergence), of natural logarithms: at most 0.833; yet 1 for silence."""
    if not said:
        return 1.0
    counts = np.zeros(int(seconds / BIN_S) + 1)
    for a, b in said:
        counts[int(a / BIN_S) : int(b / BIN_S) + 1] += 1
    counts += FLOOR
    x = np.linspace(0, 1, len(counts))
    other = np.interp(x, np.linspace(0, 1, len(people)), people)
    return float(jensenshannon(counts / counts.sum(), other))


class Timing(NamedTuple):
    """stops: where both speak, from where they begin to where one of them stops; responses:
    from the user's end to the system's next start. In milliseconds' precision."""

    stops: list[Interval]
    responses: list[Interval]


def timing(user: Sequence[Interval], system: Sequence[Interval]) -> Timing:
    """v1.5's lists, of one sample's stretches of speech. Pauses of up to 0.6 s (the user's)
    and 0.5 s (the system's) are none."""
    heard, said = merged(user, USER_GAP_S), merged(system, SYSTEM_GAP_S)
    # The official code chooses among stretches that end in the same millisecond, too:
    # behind such pauses there are none.
    stops = [(max(a, c), min(b, d)) for a, b in heard for c, d in said]
    responses = {}  # of the user's ends before the same start, the last
    for _, end in heard:
        start = next((a for a, _ in said if a > end), None)
        if start is not None:
            responses[start] = end
    return Timing(
        [(round(a, 3), round(b, 3)) for a, b in stops if b > a],
        [(round(end, 3), round(start, 3)) for start, end in responses.items()],
    )


def merged(segments: Sequence[Interval], gap: float) -> list[Interval]:
    """Stretches with no pause of `gap` seconds or less between them."""
    whole: list[Interval] = []
    for a, b in sorted(segments):
        if whole and a - whole[-1][1] <= gap:
            whole[-1] = (whole[-1][0], max(whole[-1][1], b))
        else:
            whole.append((a, b))
    return whole


def shares(behaviours: Sequence[str]) -> dict[str, float]:
    """v1.5: how often each behaviour was seen, of those that were seen at all."""
    n = len(behaviours)
    return {name: behaviours.count(name) / n for name in dict.fromkeys(behaviours)}
