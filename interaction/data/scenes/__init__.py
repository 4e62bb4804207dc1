"""The scenes a dialogue is made of. A new one is a module here and a line below."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from interaction.data.scenes import (
    arithmetic,
    barge_in,
    count,
    echo,
    errand,
    side_talk,
    silence,
    timed,
    vision_color,
    vision_count,
)
from interaction.data.scenes.plan import Errand, Plan


@dataclass(frozen=True)
class Scene:
    """build(rng, held_out): a plan; held out means a combination training lacks. weight:
    in a mix that names none; 0: only where a mix asks for it."""

    name: str
    weight: float
    build: Callable[[np.random.Generator, bool], Plan | Errand]


SCENES = (
    Scene("echo", 0.30, echo.build),
    Scene("arithmetic", 0.14, arithmetic.build),
    Scene("vision_color", 0.09, vision_color.build),
    Scene("vision_count", 0.09, vision_count.build),
    Scene("count", 0.07, count.build),
    Scene("barge_in", 0.11, barge_in.build),
    Scene("side_talk", 0.11, side_talk.build),
    Scene("timed", 0.05, timed.build),
    Scene("silence", 0.04, silence.build),
    Scene("errand", 0.0, errand.build),
    Scene("errand_hard", 0.0, errand.build_hard),
)
