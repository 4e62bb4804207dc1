"""Count to N: the longest thing the agent says."""

from __future__ import annotations

import numpy as np

from interaction.data.scenes.plan import Plan
from interaction.data.scenes.words import NUMBERS


def build(rng: np.random.Generator, held_out: bool) -> Plan:
    n = int(rng.integers(3, 11))
    return Plan(
        task="count",
        says=("count", "to", NUMBERS[n]),
        answer=NUMBERS[1 : n + 1],
        may_pause_after=(1, 2),
    )
