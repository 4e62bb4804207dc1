"""Accuracy where an answer that is not understood is guessed, as VoiceBench's `mcq` and
`bbh` evaluators do: they draw without a seed, we with one."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

SEED = 0


def accuracy(
    choices: int,
) -> Callable[[Sequence[Mapping[str, float | None]]], float | None]:
    """Of rows with `given` (None: not understood) and `wanted`, 0 to choices - 1: percent.
    Guesses are drawn in the rows' order, so that it is theirs after `random.seed(0)`."""

    def over(rows: Sequence[Mapping[str, float | None]]) -> float | None:
        rng = random.Random(SEED)
        right = 0
        for row in rows:
            given = row["given"]
            if given is None:
                given = rng.choice(range(choices))
            right += given == row["wanted"]
        return 100 * right / len(rows) if rows else None

    return over
