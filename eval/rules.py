"""What the synthetic world's user is answered, by rule: a text stage without a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from interaction.data.scenes.words import NUMBERS


class Reply(NamedTuple):
    """wait_s: from the end of the question, where it says when."""

    text: str
    wait_s: float = 0.0


def reply(words: Sequence[str]) -> Reply | None:
    """To a whole sentence; None where there is nothing to say, or nothing known: rules see
    no pictures."""
    match [word for word in words if word != "please"]:
        case ["say", cue, "in", n, "second" | "seconds"]:
            return Reply(cue, float(NUMBERS.index(n)))
        case ["say" | "repeat", *what]:
            return Reply(" ".join(what))
        case ["what", "is", a, "plus", b]:
            return Reply(NUMBERS[NUMBERS.index(a) + NUMBERS.index(b)])
        case ["what", "is", a, "minus", b] if NUMBERS.index(a) >= NUMBERS.index(b):
            return Reply(NUMBERS[NUMBERS.index(a) - NUMBERS.index(b)])
        case ["count", "to", n]:
            return Reply(" ".join(NUMBERS[1 : NUMBERS.index(n) + 1]))
    return None
