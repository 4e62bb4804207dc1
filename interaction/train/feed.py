"""Batches as the devices of all hosts want them; every host makes its own rows only."""

from __future__ import annotations

import functools
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from interaction.data.pack import Row
from interaction.data.pipeline import Maker, batches
from interaction.parallel.placement import BY_ROW
from interaction.train import lines

ROWS_LOG = "rows"
"""Directory of a run: what each host fed at each step, in rows by number."""


def places(mesh: Mesh | None, batch: int) -> tuple[int, ...]:
    """Places of a batch that this host's devices hold, in order. Where an axis that rows
    are not divided over crosses hosts, several make the same row."""
    if mesh is None:
        return tuple(range(batch))
    at = NamedSharding(mesh, BY_ROW).addressable_devices_indices_map((batch,))
    spans = [index[0].indices(batch) for index in at.values() if index is not None]
    return tuple(sorted({i for span in spans for i in range(*span)}))


def sharers(mesh: Mesh | None, batch: int) -> int:
    """Hosts that make this one's rows, itself included."""
    if mesh is None:
        return 1
    first = places(mesh, batch)[0]
    at: Any = NamedSharding(mesh, BY_ROW).devices_indices_map((batch,))
    held = [(d.process_index, range(*index[0].indices(batch))) for d, index in at.items()]
    return len({host for host, rows in held if first in rows})


def spans(numbers: list[int]) -> list[list[int]]:
    """Increasing numbers as [first, last] of each unbroken run."""
    found: list[list[int]] = []
    for n in numbers:
        if found and n == found[-1][1] + 1:
            found[-1][1] = n
        else:
            found.append([n, n])
    return found


class Feed:
    """An endless iterator of batches, from the row numbered `first` on.

    Logs to `rows/host-K-of-N.jsonl` which rows this host made at each step, when the step
    takes them: {"step": 3, "rows": [[first, last], ...]}, and "shared_by": n where n hosts
    make the same.
    """

    def __init__(
        self,
        make: Maker,
        batch: int,
        workers: int,
        mesh: Mesh | None,
        workdir: Path,
        step: int,
        first: int,
    ) -> None:
        self.next_row, self._step = first, step
        self._batch, self._mesh = batch, mesh
        self._places = places(mesh, batch)
        n = sharers(mesh, batch)
        self._shared = {"shared_by": n} if n > 1 else {}
        self._iterator = iter(batches(make, batch, workers, first, self._places))
        name = f"host-{jax.process_index()}-of-{jax.process_count()}.jsonl"
        self._log = lines.Lines(workdir / ROWS_LOG / name)

    def __next__(self) -> dict[str, Any]:
        """{name: [batch, ...]}: divided over the mesh as BY_ROW says; numpy without one."""
        mine = next(self._iterator)
        numbers = mine.pop("row").tolist()
        assert numbers == [self.next_row + place for place in self._places]
        self._step += 1
        self.next_row += self._batch
        self._log.add(self._step, {"rows": spans(numbers)} | self._shared)
        return mine if self._mesh is None else self._divide(self._mesh, mine)

    def _divide(self, mesh: Mesh, mine: Row) -> dict[str, jax.Array]:
        at = NamedSharding(mesh, BY_ROW)
        local = {place: i for i, place in enumerate(self._places)}

        def part(x: np.ndarray, index: tuple[slice, ...]) -> np.ndarray:
            start, stop, _ = index[0].indices(self._batch)
            first = local[start]  # a device's places lie side by side here too
            return x[(slice(first, first + stop - start), *index[1:])]

        def whole(x: np.ndarray) -> jax.Array:
            shape = (self._batch, *x.shape[1:])
            return jax.make_array_from_callback(shape, at, functools.partial(part, x))

        return {name: whole(x) for name, x in mine.items()}

    def flush(self) -> None:
        """The log so far is on disk."""
        self._log.flush(to_disk=True)

    def close(self) -> None:
        self._log.close()
        if hasattr(self._iterator, "close"):
            self._iterator.close()


def cut_logs(workdir: Path, step: int) -> None:
    """Drop what hosts logged of steps after `step`; one host does it, before any feeds."""
    for path in (workdir / ROWS_LOG).glob("*.jsonl"):
        lines.cut(path, step)


def fed(workdir: Path) -> dict[int, list[int]]:
    """Rows that each step of a run was fed, by number, over all hosts and restarts. A row
    that was fed more than once stands there as often; where hosts share their rows, once
    is what they all made of it."""
    times: dict[int, dict[int, Fraction]] = {}
    for path in sorted((workdir / ROWS_LOG).glob("*.jsonl")):
        for line in path.read_text().splitlines():
            values = json.loads(line)
            share = Fraction(1, values.get("shared_by", 1))
            found = times.setdefault(values["step"], {})
            for first, last in values["rows"]:
                for row in range(first, last + 1):
                    found[row] = found.get(row, Fraction(0)) + share
    return {
        step: [row for row in sorted(found) for _ in range(math.ceil(found[row]))]
        for step, found in sorted(times.items())
    }
