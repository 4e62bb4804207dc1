"""The final answer in a spoken reply, where possible answers are few or numbers: ours, for
Big Bench Audio.

After the last "answer is", "answer:" or "answer would be" the first candidate counts, else
the last of the whole reply. Candidates are the words of the question's kind, with
"not valid" for invalid, and numbers in digits or words up to 99.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Candidates = list[tuple[int, str]]

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_NUMBER = re.compile(
    rf"\b(?:(?P<digits>\d+)|(?P<tens>{'|'.join(_TENS)})(?:[ -](?P<unit>"
    rf"{'|'.join(_UNITS[1:10])}))?|(?P<small>{'|'.join(_UNITS)}))\b"
)
_CUE = re.compile(r"\banswer(?:\s+(?:is|would be|must be|should be))?\s*[:,]?\s+")


def _validity(text: str) -> Candidates:
    found = re.finditer(r"\b(not\s+(?:\w+\s+)?valid|in-?valid|valid)\b", text)
    return [(m.start(), "valid" if m[1] == "valid" else "invalid") for m in found]


def _yes_no(text: str) -> Candidates:
    return [(m.start(), m[1]) for m in re.finditer(r"\b(yes|no)\b", text)]


def _numbers(text: str) -> Candidates:
    found = []
    for m in _NUMBER.finditer(text):
        if m["digits"]:
            value = int(m["digits"])
        elif m["tens"]:
            value = 20 + 10 * _TENS.index(m["tens"])
            value += _UNITS.index(m["unit"]) if m["unit"] else 0
        else:
            value = _UNITS.index(m["small"])
        found.append((m.start(), str(value)))
    return found


KINDS: dict[str, Callable[[str], Candidates]] = {
    "formal_fallacies": _validity,
    "navigate": _yes_no,
    "web_of_lies": _yes_no,
    "object_counting": _numbers,
}


def final(reply: str, kind: str) -> str | None:
    """The answer, in lower case; None where there is none."""
    text = " ".join(reply.lower().replace("*", " ").split())
    candidates = KINDS[kind](text)
    if not candidates:
        return None
    cues = [m.end() for m in _CUE.finditer(text)]
    behind = [answer for at, answer in candidates if cues and at >= cues[-1]]
    return behind[0] if behind else candidates[-1][1]
