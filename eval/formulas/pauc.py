"""PAUC of proactive answers (ProactiveVideoQA, arXiv 2507.09313), from its formula.

A reply is worth 0, 1 or 2. What is reached over time is a step function that begins at
half of the full worth; PAUC is the area below it. `omega` says how little a late reply
costs: at 1 only what is reached counts, at 0 when it is reached counts in full.
"""

from __future__ import annotations

from collections.abc import Sequence

FULL = 2
SILENT = 0.25  # no reply at all


def kept(
    scored: Sequence[tuple[float, int]], related_end: float
) -> list[tuple[float, int]]:
    """(t, worth of all said up to t), in order, without what comes behind `related_end`
    and is worth less than the last reply within it."""
    within = [worth for t, worth in scored if t <= related_end]
    least = within[-1] if within else 0
    return [(t, worth) for t, worth in scored if t <= related_end or worth >= least]


def pauc(
    scored: Sequence[tuple[float, int]], t0: float, t1: float, omega: float = 0.5
) -> float:
    """0 to 1, for replies (t, worth) in order, whose time was [t0, t1], t0 < t1."""
    if not scored:
        return SILENT
    seconds = t1 - t0
    area, at, worth = 0.0, 0.0, FULL / 4
    for t, then in scored:
        jump = (1 - omega) * (t - t0)
        area += worth * (jump - at)
        at, worth = jump, then
    return (area + worth * (seconds - at)) / (FULL * seconds)
