"""Counts of repetitions against the truth, as RepCount has it (arXiv 2204.01018)."""

from __future__ import annotations

NOT_ZERO = 0.1  # in the published denominator


def off_by_one(counted: float, truth: float) -> int:
    """OBO of one video: whether the count is at most one off."""
    return int(abs(counted - truth) <= 1)


def relative_error(counted: float, truth: float) -> float:
    """MAE of one video: the error as a share of the truth."""
    return abs(counted - truth) / (truth + NOT_ZERO)
