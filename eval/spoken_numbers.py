"""Numbers in what was said: figures, or words up to 999."""

from __future__ import annotations

from collections.abc import Sequence

from eval.sample import Span
from eval.utterances import plain, utterances

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
UNITS = {word: n for n, word in enumerate(_ONES)}
TENS = {word: 10 * n for n, word in enumerate(_TENS, 2)}


def numbers(words: Sequence[Span]) -> list[int]:
    """In order. "twenty one" is 21 in one go, but 20 and 1 with a pause between."""
    return [n for said in utterances(words) for n in _numbers(plain(said.text))]


def _numbers(pieces: Sequence[str]) -> list[int]:
    found: list[int] = []
    open_ = 0  # the last number: is whole; 1: a unit; 10: lacks units; 100: lacks tens
    for piece in pieces:
        if piece.isdecimal():
            found.append(int(piece))
            open_ = 0
        elif piece in TENS:
            if open_ == 100:
                found[-1] += TENS[piece]
            else:
                found.append(TENS[piece])
            open_ = 10
        elif piece in UNITS:
            n = UNITS[piece]
            if open_ == 100 or (open_ == 10 and 0 < n < 10):
                found[-1] += n
                open_ = 0
            else:
                found.append(n)
                open_ = 1 if 0 < n < 10 else 0
        elif piece == "hundred" and open_ == 1:
            found[-1] *= 100
            open_ = 100
        elif not (piece == "and" and open_ == 100):
            open_ = 0
    return found
