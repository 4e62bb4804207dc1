"""The user asks the agent to say one to three words."""

from __future__ import annotations

import itertools

import numpy as np

from interaction.data.scenes.plan import Plan
from interaction.data.scenes.words import ECHOED, held_out_pair

_LENGTHS = (0.4, 0.35, 0.25)  # of one, two and three words


def is_held_out(words: tuple[str, ...]) -> bool:
    """Whether two neighbours are a pair that training never contains."""
    at = [ECHOED.index(word) for word in words]
    return any(held_out_pair(i, j) for i, j in itertools.pairwise(at))


def sample_words(
    rng: np.random.Generator, n: int, held_out: bool = False
) -> tuple[str, ...]:
    """n different words, with or without a held-out pair (n = 1 never has one)."""
    while True:
        words = tuple(ECHOED[i] for i in rng.permutation(len(ECHOED))[:n])
        if n == 1 or is_held_out(words) == held_out:
            return words


def build(rng: np.random.Generator, held_out: bool) -> Plan:
    n = 1 + int(rng.choice(3, p=_LENGTHS))
    words = sample_words(rng, max(n, 2) if held_out else n, held_out)
    verb: tuple[str, ...] = ("say",) if rng.random() < 0.75 else ("repeat",)
    verb = ("please", *verb) if rng.random() < 0.2 else verb
    return Plan(
        task="echo",
        says=verb + words,
        answer=words,
        may_pause_after=tuple(range(1, len(verb) + 1)),
        seen=not held_out,
    )
