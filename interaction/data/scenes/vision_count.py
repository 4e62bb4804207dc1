"""How many shapes are in front of the camera."""

from __future__ import annotations

import numpy as np

from interaction.data.scenes.picture import sample_picture
from interaction.data.scenes.plan import Plan
from interaction.data.scenes.words import NUMBERS

_QUESTIONS = (("how", "many", "are", "there"), ("how", "many", "do", "you", "see"))


def build(rng: np.random.Generator, held_out: bool) -> Plan:
    picture = sample_picture(rng, held_out)
    return Plan(
        task="vision_count",
        says=_QUESTIONS[rng.integers(len(_QUESTIONS))],
        answer=(NUMBERS[picture.count],),
        may_pause_after=(2, 3),
        picture=picture,
        seen=not held_out,
    )
