"""Tool calls against those expected, as Full-Duplex-Bench v3 counts them, from its
formulas.

A call is (tool, arguments). Texts are equal without case, underscores and outer spaces;
an expected argument that begins with $ is a result that is not known before, and any value
will do.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any

Called = tuple[str, Mapping[str, Any]]


def f1(made: Sequence[Called], expected: Sequence[Called]) -> float:
    """Of the tools' names as multisets. Without a call precision is 1 and recall 0."""
    have, want = (Counter(name for name, _ in calls) for calls in (made, expected))
    shared = (have & want).total()
    precision = shared / have.total() if have else 1.0
    recall = shared / want.total() if want else 1.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def arguments(made: Sequence[Called], expected: Sequence[Called]) -> float:
    """Share of the expected calls that were made with the right arguments; calls of one
    tool are compared in order."""
    waiting: dict[str, deque[Mapping[str, Any]]] = defaultdict(deque)
    for name, given in made:
        waiting[name].append(given)
    right = 0
    for name, wanted in expected:
        if waiting[name]:
            right += _same(waiting[name].popleft(), wanted)
    return right / len(expected) if expected else float(not made)


def passed(made: Sequence[Called], expected: Sequence[Called]) -> int:
    """Pass@1: these tools, no others, all arguments right."""
    names = [Counter(name for name, _ in calls) for calls in (made, expected)]
    return int(names[0] == names[1] and arguments(made, expected) == 1.0)


def _same(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    known = {k: v for k, v in wanted.items() if not str(v).startswith("$")}
    return all(k in given and _plain(given[k]) == _plain(v) for k, v in known.items())


def _plain(value: Any) -> str:
    return str(value).lower().replace("_", " ").strip()
