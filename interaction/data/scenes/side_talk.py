"""Speech that is not for the agent: beside it, behind it, over its own voice."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from interaction.data.scenes import count, echo
from interaction.data.scenes.plan import Aside, Plan
from interaction.data.scenes.statements import sample_statement


def _faint(rng: np.random.Generator) -> float:
    return rng.uniform(-20, -10)


def build(rng: np.random.Generator, held_out: bool) -> Plan:
    words = sample_statement(rng, held_out)
    kind = rng.random()
    if kind < 0.4:
        return Plan("side_talk", words, lane="side", seen=not held_out)
    if kind < 0.5:
        return Plan(
            "side_talk",
            words,
            lane="side",
            stranger=True,
            level_db=rng.uniform(-6, 0),
            seen=not held_out,
        )
    if kind < 0.7:
        return Plan(
            "background",
            words,
            lane="background",
            stranger=True,
            level_db=_faint(rng),
            seen=not held_out,
        )
    question = (count if kind < 0.85 else echo).build(rng, held_out)
    over: Literal["answer", "pause"] = "answer" if rng.random() < 0.6 else "pause"
    return replace(question, aside=Aside(words, _faint(rng), over))
