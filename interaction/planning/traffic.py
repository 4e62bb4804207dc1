"""What a compiled program sends between chips, by mesh axis, and how long links need.

Bytes are of one chip, from the program's own collectives, loops counted. A loop whose
count is not known runs once: the exchange of experts' rows needs more only where routing
is skewed. Times follow the torus that the devices' coordinates show: a collective over
several of its dimensions uses their links side by side, both ways where a dimension is
whole and so closes on itself.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from interaction.chips import Chip
from interaction.hlo import Operation, operations, sizes

KINDS = (
    "all-gather", "all-reduce", "reduce-scatter", "all-to-all", "ragged-all-to-all",
    "collective-permute",
)  # fmt: skip


class Sent(NamedTuple):
    """One kind of collective over one axis (`fsdp`, or several: `expert x fsdp`): how
    many run, bytes that a chip receives, seconds of its links."""

    kind: str
    axis: str
    runs: int
    bytes: float
    seconds: float


def traffic(text: str, mesh: Mesh, chip: Chip, outer: int = 1) -> list[Sent]:
    """Of a program compiled for this mesh, largest first. outer: as in `operations`."""
    torus = Torus(mesh, chip)
    found: dict[tuple[str, str], list[float]] = {}
    for op in operations(text, outer):
        kind = op.kind.removesuffix("-start")
        network = re.search(r'_xla_megascale_transfer_type="(\w+)"', op.line)
        if kind == "recv" and network:  # between slices
            kind, group = network[1].lower().replace("_", "-"), torus.across
        elif kind in KINDS:
            group = _members(op)
        else:
            continue
        if len(group) < 2:
            continue
        size = max(sizes(op.result))
        if op.kind == "reduce-scatter":  # `-start` has its operand beside its result
            size *= len(group)
        received, seconds = torus.cost(kind, size, group)
        total = found.setdefault((kind, torus.axes(group)), [0, 0.0, 0.0])
        for i, value in enumerate((1, received, seconds)):
            total[i] += op.times * value
    sent = [Sent(*key, int(n), size, time) for key, (n, size, time) in found.items()]
    return sorted(sent, key=lambda s: -s.seconds)


def _members(op: Operation) -> list[int]:
    """Devices of the first group that is more than one; of a permute, the first pair
    that moves."""
    pairs = re.search(r"source_target_pairs=\{(.*?)\}\}", op.line)
    if pairs:
        moves = re.findall(r"\{(\d+),(\d+)", "{" + pairs[1].lstrip("{"))
        return next(([int(a), int(b)] for a, b in moves if a != b), [0])
    groups = re.search(r"replica_groups=\{\{([\d,]*)\}", op.line)
    if groups:
        return [int(n) for n in groups[1].split(",") if n]
    iota = re.search(
        r"replica_groups=\[(\d+),(\d+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", op.line
    )
    if not iota:
        return [0]
    dims = [int(n) for n in iota[3].split(",")]
    ids = np.arange(math.prod(dims)).reshape(dims)
    if iota[4]:
        ids = ids.transpose([int(n) for n in iota[4].split(",")])
    return ids.reshape(int(iota[1]), int(iota[2]))[0].tolist()


class Torus:
    """Where a mesh's devices are, and what collectives among them cost."""

    def __init__(self, mesh: Mesh, chip: Chip) -> None:
        devices = list(mesh.devices.flat)
        self._names, self._shape = mesh.axis_names, mesh.devices.shape
        self._at = np.array([_coordinates(d) for d in devices])
        self._slice = [getattr(d, "slice_index", 0) for d in devices]
        self._whole = self._at.max(0) - self._at.min(0) + 1
        self._chip = chip

    @property
    def across(self) -> list[int]:
        """One device of every slice, alike in all else."""
        return [self._slice.index(i) for i in sorted(set(self._slice))]

    def axes(self, group: list[int]) -> str:
        places = np.array(np.unravel_index(group, self._shape))
        moved = [n for n, at in zip(self._names, places, strict=True) if len(set(at)) > 1]
        return " x ".join(moved)

    def cost(self, kind: str, size: float, group: list[int]) -> tuple[float, float]:
        """(bytes that a chip receives, seconds). size: of the result on one chip, or of
        the larger side where it has two."""
        n = len(group)
        if kind == "collective-permute":
            return size, size * self._hops(*group) / self._chip.ici_or_dcn(self._far(group))
        share = (n - 1) / n
        received = {"all-reduce": 2 * size * share}.get(kind, size * share)
        if self._far(group):
            return received, received / self._chip.dcn
        dims = self._dims(group)
        if kind.endswith("all-to-all"):
            # On a ring of r, a link carries r/8 of what a chip sends; on a line, r/4.
            load = max((r / (8 if closed else 4) for r, closed in dims), default=1)
            return received, size * load / self._chip.ici
        links = sum(2 if closed else 1 for _, closed in dims) or 1
        return received, received / (links * self._chip.ici)

    def _far(self, group: list[int]) -> bool:
        return len({self._slice[i] for i in group}) > 1

    def _dims(self, group: list[int]) -> list[tuple[int, bool]]:
        """Of the torus, those that a group spans: (chips along it, whether it closes)."""
        spans = [len(set(self._at[group, d])) for d in range(self._at.shape[1])]
        return [
            (n, n == whole and whole >= 4)
            for n, whole in zip(spans, self._whole, strict=True)
            if n > 1
        ]

    def _hops(self, a: int, b: int) -> int:
        away = np.abs(self._at[a] - self._at[b])
        wraps = self._whole >= 4
        return max(
            1, int(np.where(wraps, np.minimum(away, self._whole - away), away).sum())
        )


def _coordinates(device: jax.Device) -> tuple[int, ...]:
    return tuple(getattr(device, "coords", None) or (device.id, 0, 0))
