"""Where a plan that does not fit may fit: by the estimate that ranks meshes, of slices
that the makers offer. Nothing is compiled, and so nothing is shown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from interaction.chips import CHIPS
from interaction.config import ModelConfig
from interaction.parallel.mesh import AXES
from interaction.planning.search import (
    legal,
    served_bytes,
    serving_bytes,
    state_bytes,
    training_bytes,
)

_FLAT = (("2x2", 4), ("2x4", 8), ("4x4", 16), ("4x8", 32), ("8x8", 64), ("8x16", 128),
         ("16x16", 256))  # fmt: skip
_CUBES = (("2x2x1", 4), ("2x2x2", 8), ("2x2x4", 16), ("2x4x4", 32), ("4x4x4", 64),
          ("4x4x8", 128), ("4x8x8", 256), ("8x8x8", 512), ("8x8x16", 1024),
          ("8x16x16", 2048))  # fmt: skip
SLICES = {"v5e": _FLAT, "v6e": _FLAT, "v5p": _CUBES, "tpu7x": _CUBES}
"""Slices that the makers offer, with their chips, smallest first."""


SHORT = {"train": 1.2, "serve": 1.1}
"""Times an estimate that compiled programs have needed, at most: 1.12 to 1.19 of training
steps, 1.03 to 1.07 of micro-turns (`tests/planning/goldens/`)."""


class Asked(NamedTuple):
    """What did not fit. rows: of a step, or sessions; need: bytes of a chip that a
    compiler said it would take, 0 where none was asked."""

    config: Any
    cfg: ModelConfig
    mode: str
    topology: str
    slices: int
    sizes: Mapping[str, int]
    rows: int
    need: float = 0.0

    def estimate(self, sizes: Mapping[str, int], rows: int) -> float:
        """Bytes of a device."""
        if self.mode == "train":
            return training_bytes(self.config, self.cfg, sizes, rows)
        return serving_bytes(self.cfg, sizes, rows)


def may_fit(asked: Asked) -> list[dict[str, Any]]:
    """The smallest slice for the rows that are asked for, if there is one; before it a
    smaller slice for fewer of them, if there is one: topology, mesh, rows, flags."""
    whole = _first(asked, [asked.rows])
    fewer = _first(asked, list(_halves(asked.rows))) if asked.mode == "train" else None
    found = [fewer, whole] if fewer and (not whole or fewer[0] < whole[0]) else [whole]
    return [_told(asked, *one[1:]) for one in found if one]


def _halves(rows: int) -> Iterator[int]:
    while rows % 2 == 0:
        rows //= 2
        yield rows


def _first(asked: Asked, rows: list[int]) -> tuple[int, str, dict[str, int], int] | None:
    """(chips, topology, mesh, rows) of the smallest slice that may do, with the most of
    these rows, on the mesh that leaves most room."""
    kind = asked.topology.split(":")[0]
    chip = CHIPS[kind]
    budget = chip.hbm_bytes / chip.devices
    short = max(SHORT[asked.mode], asked.need / asked.estimate(asked.sizes, asked.rows))
    least = least_chips(asked)
    for shape, chips in SLICES[kind]:
        if chips < least:
            continue
        topology, devices = f"{kind}:{shape}", chips * chip.devices * asked.slices
        for n in rows:
            sizes = list(legal(asked.cfg, devices, asked.slices, n, asked.mode))
            needs = [short * asked.estimate(s, n) for s in sizes]
            if needs and min(needs) <= budget:
                return chips, topology, sizes[needs.index(min(needs))], n
    return None


def _told(asked: Asked, topology: str, sizes: dict[str, int], rows: int) -> dict[str, Any]:
    flags = "--mesh=" + ",".join(f"{axis}={n}" for axis, n in sizes.items() if n > 1)
    if rows < asked.rows:
        flags += " " + rows_flags(asked.config.train, rows)
    return {"topology": topology, "mesh": sizes, "rows": rows, "flags": flags}


def rows_flags(train: Any, rows: int) -> str:
    """For a step of fewer rows: what else a config counts by the batch goes with them."""
    flags = {"batch": rows, "flow_rows": train.flow_rows * rows // train.batch}
    if rows % train.batch_shards:
        flags["batch_shards"] = rows
    return " ".join(f"--config.train.{name}={n}" for name, n in flags.items())


def least_chips(asked: Asked) -> int:
    """Chips of this kind that what is held needs alone: parameters and moments, or
    parameters and caches, wholly divided."""
    one = dict.fromkeys(AXES, 1)
    if asked.mode == "train":
        held = state_bytes(asked.config.train, asked.cfg, one)
    else:
        held = served_bytes(asked.cfg, one, asked.rows)
    return math.ceil(held / CHIPS[asked.topology.split(":")[0]].hbm_bytes)
