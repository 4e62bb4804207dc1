"""The user speaks up while the agent is speaking: to hush it, or to ask anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from interaction.data.scenes import arithmetic, count, echo
from interaction.data.scenes.plan import Interruption, Plan
from interaction.data.scenes.words import HUSHES


def build(rng: np.random.Generator, held_out: bool) -> Plan:
    outer = count.build(rng, held_out)
    if rng.random() < 0.3:
        words = echo.sample_words(rng, 3)
        outer = Plan("echo", ("say", *words), words, may_pause_after=(1,))
    if rng.random() < 0.5:
        inner = Plan("hush", HUSHES[rng.integers(len(HUSHES))])
    else:
        inner = (echo.build, arithmetic.build)[rng.integers(2)](rng, held_out)
    return replace(outer, task="barge_in", interruption=Interruption(rng.random(), inner))
