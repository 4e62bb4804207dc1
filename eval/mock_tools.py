"""Tools that answer in this process, made from the calls that a benchmark expects.

A later call may take a part of an earlier one's result: "$RESULT_0.flights[0].flight_id" is
in the first call's result, under that path. So results hold what is asked of them later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from eval.formulas.tool_calls import Called, later

REFERENCE = re.compile(r"\$RESULT_(\d+)((?:\.\w+|\[\d+\])+)")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array",
         dict: "object"}  # fmt: skip


def schemas(every: Iterable[Sequence[Called]]) -> dict[str, dict[str, Any]]:
    """Every tool that is expected somewhere, with the arguments seen there, as JSON
    schema."""
    tools: dict[str, dict[str, Any]] = {}
    for calls in every:
        for name, args in calls:
            seen = tools.setdefault(name, {"type": "object", "properties": {}})
            for key, value in args.items():
                kind = TYPES.get(type(value), "string")
                seen["properties"].setdefault(key, {"type": kind})
    return {name: tools[name] for name in sorted(tools)}


def answers(expected: Sequence[Called]) -> dict[str, dict[str, Any]]:
    """Tool -> what it answers in a conversation that should come to these calls."""
    told: dict[str, dict[str, Any]] = {name: {"status": "ok"} for name, _ in expected}
    for _, args in expected:
        for value in filter(later, args.values()):
            found = REFERENCE.fullmatch(value)
            if found and int(found[1]) < len(expected):
                steps = [key or int(at) for key, at in _STEP.findall(found[2])]
                _put(told[expected[int(found[1])][0]], steps)
    return told


def _put(into: Any, steps: Sequence[str | int]) -> None:
    """A made-up value under a path of keys and places; what is there stays."""
    for step, after in zip(steps, [*steps[1:], None], strict=True):
        fresh: Any = (
            f"{steps[-1]}-1" if after is None else {} if isinstance(after, str) else []
        )
        if isinstance(step, int):
            into += [{} for _ in range(step + 1 - len(into))]
            if not into[step]:
                into[step] = fresh
        else:
            into.setdefault(step, fresh)
        into = into[step]
