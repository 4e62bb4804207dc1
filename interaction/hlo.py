"""Compiled programs as text: their operations, and how often each runs."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

_OPERATION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([a-z][a-z0-9\-]*)\(")
_CALLS = re.compile(r"(?:calls|to_apply|body|condition)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_ARRAY = re.compile(r"([a-z]+\d*)\[([\d,]*)\]")
_BYTES = {"pred": 1, "s4": 0.5, "u4": 0.5}


class Operation(NamedTuple):
    """result: its type as text; times: runs in one run of the program, inner loops
    whose counts are not known once; where: `op_name`, if it has one."""

    name: str
    kind: str
    result: str
    line: str
    times: int
    where: str


def operation(line: str) -> str:
    """Kind of the operation of a line, such as `dot`; empty where there is none."""
    match = _OPERATION.match(line)
    return match[3] if match else ""


def computations(text: str) -> dict[str, list[str]]:
    """Name -> lines of its operations. The one that runs first is last, as XLA prints."""
    found: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in text.splitlines():
        head = re.match(r"(?:ENTRY )?%?([\w.\-]+) .*\{$", line)
        if head and not line.startswith((" ", "HloModule")):
            lines = found.setdefault(head[1], [])
        elif line.startswith("}"):
            lines = None
        elif lines is not None:
            lines.append(line)
    return found


def _trips(line: str, found: dict[str, list[str]]) -> int | None:
    """How often a loop runs, if its text says so: where XLA has noted it, or by a
    condition that compares a counter, which JAX starts at 0, with a constant."""
    noted = _TRIPS.search(line)
    if noted:
        return int(noted[1])
    condition = re.search(r"condition=%?([\w.\-]+)", line)
    lines = found.get(condition[1], []) if condition else []
    compare = next((x for x in lines if "direction=LT" in x and "ROOT" in x), "")
    for operand in re.findall(r"compare\([^)]*%([\w.\-]+)\)", compare):
        for other in lines:
            value = re.search(
                rf"%{re.escape(operand)} = s32\[\]\S* constant\((\d+)\)", other
            )
            if value:
                return int(value[1])
    return None


def _runs(found: dict[str, list[str]], outer: int) -> dict[str, int]:
    """How often each computation runs. XLA prints a computation before those that use
    it."""
    runs: dict[str, int] = defaultdict(int)
    names = list(found)
    runs[names[-1]] = 1
    for name in reversed(names):
        for line in found[name]:
            loops = 1
            if operation(line) == "while":
                known, unknown = _trips(line, found), outer if name == names[-1] else 1
                loops = unknown if known is None else known
            used = _CALLS.findall(line)
            for group in _BRANCHES.findall(line):
                used += re.findall(r"[\w.\-]+", group)
            for other in used:
                if other in found:
                    runs[other] += runs[name] * loops
    return runs


def operations(text: str, outer: int = 1) -> Iterator[Operation]:
    """All operations that run. outer: runs of loops on the outermost level whose counts
    are not known."""
    found = computations(text)
    for name, times in _runs(found, outer).items():
        for line in found[name]:
            match = _OPERATION.match(line)
            if match and times:
                where = re.search(r'op_name="([^"]*)"', line)
                yield Operation(
                    match[1], match[3], match[2], line, times, where[1] if where else ""
                )


def sizes(result: str) -> list[int]:
    """Bytes of the arrays of a type, tuples in order: `(f32[8]{0}, s32[])` -> [32, 4]."""
    out = []
    for kind, dims in _ARRAY.findall(result):
        bits = re.search(r"\d+", kind)
        width = _BYTES.get(kind, int(bits[0]) / 8 if bits else 0)
        out.append(int(width * math.prod(int(n) for n in dims.split(",") if n)))
    return out
