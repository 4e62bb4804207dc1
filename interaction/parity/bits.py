"""Comparison by bits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from interaction.score import differing

Found = dict[str, np.ndarray]  # what was computed, in the order in which it was


class Row(NamedTuple):
    """One comparison. first: the first thing computed that differs, None if none does."""

    level: str
    what: str
    elements: int
    differing: int
    first: str | None


def compare(level: str, what: str, want: Found, got: Found) -> Row:
    """Both by name, in order of computation; `want` may have more."""
    elements = wrong = 0
    first = None
    for name, x in got.items():
        n = differing(want[name], x)
        elements, wrong = elements + x.size, wrong + n
        if n and first is None:
            first = name
    return Row(level, what, elements, wrong, first)
