"""Our figures against a benchmark's official code: a benchmark a module, with `check`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

NEAR = 1e-6


class Line(NamedTuple):
    """One number of a sample's, or over "all" of them."""

    id: str
    metric: str
    ours: float | None
    theirs: float | None

    @property
    def off(self) -> float:
        """How far apart; infinite where one of them is none."""
        if self.ours is None or self.theirs is None:
            return 0.0 if self.ours is self.theirs else float("inf")
        return abs(self.ours - self.theirs)

    @property
    def agrees(self) -> bool:
        return self.off <= NEAR


@dataclass(frozen=True)
class Checked:
    """notes: where we differ on purpose, and what was not compared; vad: whose detector
    their code heard, "" where none was needed."""

    lines: Sequence[Line]
    notes: Sequence[str]
    vad: str
