"""What is A plus or minus B, for A and B of one to ten."""

from __future__ import annotations

import numpy as np

from interaction.data.scenes.plan import Plan
from interaction.data.scenes.words import NUMBERS

QUESTIONS = tuple(
    (a, operation, b)
    for operation in ("plus", "minus")
    for a in range(1, 11)
    for b in range(1, 11)
    if operation == "plus" or a >= b
)


def is_held_out(question: tuple[int, str, int]) -> bool:
    a, operation, b = question
    return (3 * a + 9 * b + 4 * (operation == "minus")) % 10 == 5


def build(rng: np.random.Generator, held_out: bool) -> Plan:
    choices = [q for q in QUESTIONS if is_held_out(q) == held_out]
    a, operation, b = choices[rng.integers(len(choices))]
    return Plan(
        task="arithmetic",
        says=("what", "is", NUMBERS[a], operation, NUMBERS[b]),
        answer=(NUMBERS[a + b if operation == "plus" else a - b],),
        may_pause_after=(2, 3, 4),
        seen=not held_out,
    )
