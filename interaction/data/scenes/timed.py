"""Say a word in so many seconds, counted from the end of the request."""

from __future__ import annotations

import numpy as np

from interaction.data.scenes.plan import Plan
from interaction.data.scenes.words import CUES, NUMBERS


def is_held_out(cue: int, seconds: int) -> bool:
    return (cue, seconds) in ((1, 2), (2, 4), (3, 3))


def build(rng: np.random.Generator, held_out: bool) -> Plan:
    while True:
        cue, seconds = int(rng.integers(len(CUES))), int(rng.integers(1, 6))
        if is_held_out(cue, seconds) == held_out:
            break
    unit = "second" if seconds == 1 else "seconds"
    return Plan(
        task="timed",
        says=("say", CUES[cue], "in", NUMBERS[seconds], unit),
        answer=(CUES[cue],),
        may_pause_after=(1, 3),
        wait_s=float(seconds),
        seen=not held_out,
    )
