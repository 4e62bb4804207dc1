"""Intervals of time against the truth, as in Charades-STA (arXiv 1705.02101)."""

from __future__ import annotations

Interval = tuple[float, float]


def iou(found: Interval | None, truth: Interval) -> float:
    """Intersection over union. 0 for None, and for an interval that ends before it
    begins."""
    if found is None or found[1] <= found[0]:
        return 0.0
    shared = min(found[1], truth[1]) - max(found[0], truth[0])
    return max(shared, 0.0) / (max(found[1], truth[1]) - min(found[0], truth[0]))


def recalled(found: Interval | None, truth: Interval, least: float) -> int:
    """R@1 of one sample: whether the IoU is `least` or more."""
    return int(iou(found, truth) >= least)
