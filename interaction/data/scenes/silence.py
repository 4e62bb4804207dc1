"""Nothing is said; the room's noise goes on."""

from __future__ import annotations

import numpy as np

from interaction.data.scenes.plan import Plan


def build(rng: np.random.Generator, held_out: bool) -> Plan:
    return Plan("silence", quiet_s=rng.uniform(1.5, 4))
