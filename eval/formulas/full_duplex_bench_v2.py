"""Full-Duplex-Bench v2 (arXiv 2510.07838), from its formulas: a judge's scores of one
conversation. Times are seconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

STRETCH_S, END_S = 15.0, 120.0
STRETCHES = round(END_S / STRETCH_S)

_TIME = r"(?:\d+:)*\d+(?:\.\d+)?"
_PAIR = rf"[\[{{]\s*['\"]?{_TIME}['\"]?\s*,\s*['\"]?{_TIME}['\"]?\s*[\]}}]"
_SCORE = r"['\"]?(-?\d+(?:\.\d+)?|null|None)['\"]?"
_PAIRS = rf"{_PAIR}(?:[\s,\[\]]*{_PAIR})*"
_EVENT = re.compile(rf"({_PAIRS})[\s\]]*[:,]\s*{_SCORE}\s*,\s*{_SCORE}")
_TASK = re.compile(rf"['\"]Task-specific score['\"]\s*:\s*{_SCORE}")
_NAMED_TIME = re.compile(r"['\"](?:start|end)(?:_time|Time)?['\"]\s*:\s*")
EVENTS = "Turn-taking event and score"


class Event(NamedTuple):
    """A stretch of a conversation, scored twice."""

    t0: float
    t1: float
    turn_taking: float
    instructions: float


class Judged(NamedTuple):
    """task: the conversation's own score, 1 to 5; None where the judge gave none."""

    events: list[Event]
    task: float | None


def read(reply: str) -> Judged | None:
    """What a judge replied. It is asked for {"Turn-taking event and score": [[[start, end],
    turn-taking, instructions], ...], "Task-specific score": n}; some write
    `[start, end]: 4, 5`, which is no JSON, several stretches with the same scores, or times
    as 1:05. Events that lack a score are left out. None where the events' name is not in
    the reply."""
    _, named, rest = reply.partition(EVENTS)
    if not named:
        return None
    rest = _NAMED_TIME.sub("", rest)
    events = []
    for found in _EVENT.finditer(rest):
        turn, instructions = _score(found[2]), _score(found[3])
        if turn is not None and instructions is not None:
            times = [_seconds(time) for time in re.findall(_TIME, found[1])]
            for a, b in zip(times[::2], times[1::2], strict=True):
                events.append(Event(min(a, b), max(a, b), turn, instructions))
    task = _TASK.search(reply)
    return Judged(events, _score(task[1]) if task else None)


def _seconds(text: str) -> float:
    """ "65.2" or "1:05.2"."""
    total = 0.0
    for part in text.split(":"):
        total = 60 * total + float(part)
    return total


def _score(text: str) -> float | None:
    return None if text in ("null", "None") else float(text)


def means(events: Sequence[Event]) -> tuple[float | None, float | None]:
    """(turn-taking, instructions) of a conversation, all events alike."""
    if not events:
        return None, None
    turn = sum(event.turn_taking for event in events)
    return turn / len(events), sum(e.instructions for e in events) / len(events)


def over_time(events: Sequence[Event]) -> list[tuple[float, float, float]]:
    """For every 15 s of the first 120: (seconds of events in it, turn-taking and
    instructions, each times those seconds). Sums over conversations, divided by the first,
    are the published means over time."""
    sums = []
    for i in range(STRETCHES):
        a, b = i * STRETCH_S, (i + 1) * STRETCH_S
        inside = [(max(min(e.t1, b) - max(e.t0, a), 0.0), e) for e in events]
        sums.append((
            sum(s for s, _ in inside),
            sum(s * e.turn_taking for s, e in inside),
            sum(s * e.instructions for s, e in inside),
        ))  # fmt: skip
    return sums
