"""Intervals that go with every rate and every median."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

Z95 = 1.959963984540054


def wilson(right: int, n: int) -> tuple[float, float]:
    """95% Wilson score interval of a rate (Wilson 1927). (0, 1) when n is 0."""
    if n == 0:
        return 0.0, 1.0
    p, z2 = right / n, Z95**2 / n
    centre = (p + z2 / 2) / (1 + z2)
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n)) / (1 + z2)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def bootstrap(
    values: np.ndarray | Sequence[float],
    statistic: Callable[[np.ndarray], float],
    seed: int = 0,
) -> tuple[float, float]:
    """95% percentile bootstrap interval of `statistic` over 1,000 resamples."""
    if not len(values):
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    array = np.asarray(values)
    picks = array[rng.integers(0, len(array), (1000, len(array)))]
    low, high = np.percentile([statistic(row) for row in picks], [2.5, 97.5])
    return float(low), float(high)
