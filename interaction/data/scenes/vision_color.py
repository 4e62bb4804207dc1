"""What colour the shapes in front of the camera are."""

from __future__ import annotations

import numpy as np

from interaction.data.scenes.picture import sample_picture
from interaction.data.scenes.plan import Plan

_QUESTIONS = (("what", "color", "is", "it"), ("what", "color", "do", "you", "see"))


def build(rng: np.random.Generator, held_out: bool) -> Plan:
    picture = sample_picture(rng, held_out)
    return Plan(
        task="vision_color",
        says=_QUESTIONS[rng.integers(len(_QUESTIONS))],
        answer=(picture.colour,),
        may_pause_after=(2, 3),
        picture=picture,
        seen=not held_out,
    )
