"""TPU types: the shapes a slice may have, and what each platform calls them.

Sources: cloud.google.com/tpu/docs/{v5e,v5p,v6e,tpu7x} for shapes, cores and sizes of
pods; cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus for GKE's labels and
machine types; both compared with the table in xpk 1.16.0. Runtime versions are those
that the same pages used in 2025; `gcloud compute tpus tpu-vm versions list` knows better.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from functools import cached_property

from interaction.errors import InputError

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class TpuType:
    """A generation of TPUs. small: shapes below a cube (or all, where there are no
    cubes); max_chips: of one slice; cores: TensorCores a chip, which count in names."""

    name: str
    gke_accelerator: str
    gke_machine: str  # a machine type, after which comes the number of chips: "-4t"
    prefix: str  # of accelerator types: PREFIX-CORES
    cores: int
    runtime: str | None  # None: no TPU VMs, only GKE
    small: tuple[Shape, ...]
    max_chips: int
    cubes: bool

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Every legal shape, few chips first, the compact one first among equals."""
        found = set(self.small)
        if self.cubes:  # whole 4x4x4 cubes, joined by optical switches, in rising order
            most = self.max_chips // 64
            for a in range(1, most + 1):
                for b in range(a, most // a + 1):
                    longest = min(most // (a * b), 64)  # a side has 256 chips at most
                    found |= {(4 * a, 4 * b, 4 * c) for c in range(b, longest + 1)}
        return tuple(sorted(found, key=lambda s: (math.prod(s), sum(s), s)))


FLAT = ((1, 1), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16))
SOLID = ((2, 2, 1), (2, 2, 2), (2, 2, 4), (2, 4, 4))

TYPES = {
    t.name: t
    for t in (
        TpuType("v5e", "tpu-v5-lite-podslice", "ct5lp-hightpu", "v5litepod", 1,
                "v2-alpha-tpuv5-lite", FLAT, 256, cubes=False),
        TpuType("v5p", "tpu-v5p-slice", "ct5p-hightpu", "v5p", 2,
                "v2-alpha-tpuv5", SOLID, 6144, cubes=True),
        TpuType("v6e", "tpu-v6e-slice", "ct6e-standard", "v6e", 1,
                "v2-alpha-tpuv6e", FLAT, 256, cubes=False),
        TpuType("tpu7x", "tpu7x", "tpu7x-standard", "tpu7x", 2,
                None, ((1, 1, 1), *SOLID), 9216, cubes=True),
    )
}  # fmt: skip


def written(shape: Shape) -> str:
    return "x".join(map(str, shape))


@dataclasses.dataclass(frozen=True)
class Slice:
    """One slice: chips that reach each other without the data-centre network."""

    type: TpuType
    shape: Shape

    @property
    def topology(self) -> str:
        return written(self.shape)

    @property
    def chips(self) -> int:
        return math.prod(self.shape)

    def chips_per_host(self, gke: bool) -> int:
        """Hosts have four chips, or one in the smallest slice. Eight chips, 2x4, are
        one TPU VM of eight, but on GKE two nodes of four (machine types -4t; the
        single-host pools of eight, -8t, are not for training)."""
        if self.chips <= 4:
            return self.chips
        return 8 if self.shape == (2, 4) and not gke else 4

    def hosts(self, gke: bool) -> int:
        return self.chips // self.chips_per_host(gke)

    @property
    def gke_machine(self) -> str:
        return f"{self.type.gke_machine}-{self.chips_per_host(gke=True)}t"

    @property
    def accelerator_type(self) -> str:
        return f"{self.type.prefix}-{self.chips * self.type.cores}"

    @property
    def usual(self) -> bool:
        """Whether the accelerator type alone gives this shape: the most compact one of
        its number of chips."""
        return self.shape == next(s for s in self.type.shapes if math.prod(s) == self.chips)


def parse(text: str) -> Slice:
    """`v5p:8x8x8`. Raises InputError that names legal types or shapes."""
    name, colon, sides = text.partition(":")
    if name not in TYPES or not colon:
        known = ", ".join(TYPES)
        raise InputError(
            f"--topology={text}: write TYPE:SHAPE, as v5p:8x8x8; types: {known}"
        )
    kind = TYPES[name]
    try:
        shape = tuple(int(side) for side in sides.split("x"))
    except ValueError:
        shape = ()
    if shape in kind.shapes:
        return Slice(kind, shape)
    raise InputError(f"--topology={text}: not a shape of {name}; {_legal(kind, shape)}")


def _legal(kind: TpuType, shape: Shape) -> str:
    small = ", ".join(map(written, kind.small))
    if not kind.cubes:
        return f"use {small}"
    near = itertools.islice(_nearest(kind, shape), 3)
    return (
        f"use {small}, or multiples of 4 in rising order up to {kind.max_chips} chips: "
        f"near yours are {', '.join(map(written, near))}"
    )


def _nearest(kind: TpuType, shape: Shape) -> list[Shape]:
    """Shapes of whole cubes, those first whose sides differ least, in factors."""
    if len(shape) == 3 and min(shape) > 0:
        wanted: tuple[float, ...] = tuple(sorted(shape))
    else:
        wanted = (max(math.prod(shape), 64) ** (1 / 3),) * 3

    def distance(legal: Shape) -> tuple:
        factors = (abs(math.log(a / b)) for a, b in zip(legal, wanted, strict=True))
        return round(sum(factors), 6), legal

    return sorted((s for s in kind.shapes if s not in kind.small), key=distance)
