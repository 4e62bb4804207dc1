"""Sums too large to know and things to be found: questions for the background model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from interaction.data.scenes import arithmetic, echo
from interaction.data.scenes.plan import Errand, Plan
from interaction.data.scenes.words import NOUNS, NUMBERS, RECALLS, TENS

LARGEST = 50  # of either summand; the smallest is above what is known by heart
_DELAY_S = (1.0, 6.0)
_BUSY_DELAY_S = (2.0, 4.0)  # into another exchange, which begins about 1.5 s behind
_FAILS, _MEANWHILE, _RECALLED = 0.12, 0.4, 0.12


def spelled(n: int) -> tuple[str, ...]:
    """A number from 0 to 99, in words."""
    if n < len(NUMBERS):
        return (NUMBERS[n],)
    tens = TENS[n // 10 - 2]
    return (tens, NUMBERS[n % 10]) if n % 10 else (tens,)


def is_held_out(a: int, b: int) -> bool:
    return (3 * a + 7 * b) % 10 == 4


def _sum(
    rng: np.random.Generator, held_out: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    while True:
        a, b = (int(n) for n in rng.integers(11, LARGEST, 2))
        if is_held_out(a, b) == held_out:
            return ("what", "is", *spelled(a), "plus", *spelled(b)), spelled(a + b)


def _found(rng: np.random.Generator) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What comes back cannot be known before."""
    asked = NOUNS[rng.integers(len(NOUNS))]
    return ("find", "the", asked), tuple(echo.sample_words(rng, int(rng.integers(1, 3))))


def _other(rng: np.random.Generator) -> Plan:
    return (echo.build, arithmetic.build)[rng.integers(2)](rng, False)


def _errand(
    rng: np.random.Generator, says: tuple[str, ...], result: tuple[str, ...], seen: bool
) -> Errand:
    ending, meanwhile = rng.random(), None
    recall: tuple[str, ...] = ()
    if ending < _RECALLED:
        recall = RECALLS[rng.integers(len(RECALLS))]
    elif rng.random() < _MEANWHILE:
        meanwhile = _other(rng)
    return Errand(
        says,
        None if _RECALLED <= ending < _RECALLED + _FAILS else result,
        float(rng.uniform(*_DELAY_S)),
        (2,),
        meanwhile,
        recall,
        seen=seen,
    )


def build(rng: np.random.Generator, held_out: bool) -> Errand:
    sums = held_out or rng.random() < 0.5
    asked = _sum(rng, held_out) if sums else _found(rng)
    return _errand(rng, *asked, seen=not held_out)


def build_hard(rng: np.random.Generator, held_out: bool) -> Errand:
    """To learn from. For a sum any number comes back: one that can be guessed from the
    question is not read. Half of the results come while something else is asked or
    answered, where they are easily forgotten, and which is rare in `build`."""
    sums = held_out or rng.random() < 0.5
    says, result = _sum(rng, held_out) if sums else _found(rng)
    errand = _errand(rng, says, result, seen=not held_out)
    if sums and errand.result:
        errand = replace(errand, result=spelled(int(rng.integers(2 * LARGEST - 1))))
    if rng.random() < 0.5:
        return errand
    delay_s = float(rng.uniform(*_BUSY_DELAY_S))
    return replace(errand, delay_s=delay_s, meanwhile=_other(rng), recall=())
