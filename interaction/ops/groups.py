"""Matrices filled up with zeros to whole units; rows sorted by group, and moved to units
of one group each."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp


def round_up(n: int, to: int) -> int:
    return -(-n // to) * to


def fill(x: jax.Array, rows: int, columns: int) -> jax.Array:
    """Zeros behind the last two axes, up to these sizes."""
    lead = [(0, 0)] * (x.ndim - 2)
    return jnp.pad(x, [*lead, (0, rows - x.shape[-2]), (0, columns - x.shape[-1])])


class Sorted(NamedTuple):
    """Rows in order of their groups, those of one group as they were. place [P]: where
    each row goes; order [P]: which row is there; sizes [X]: rows of each group."""

    place: jax.Array
    order: jax.Array
    sizes: jax.Array


RUN = 256  # rows that are counted together


def sort(group_P: jax.Array, groups: int) -> Sorted:
    """group: int32, 0..groups; rows of the last one, which is none, go behind all others.
    By counting: compilers for TPUs need minutes for a few sorts of this length."""
    P = len(group_P)
    filled = jnp.pad(group_P, (0, -P % RUN), constant_values=groups + 1)
    hot_nRX = jax.nn.one_hot(filled.reshape(-1, RUN), groups + 1, dtype=jnp.float32)
    earlier = jnp.tril(jnp.ones((RUN, RUN), jnp.float32), -1)
    inside = jnp.einsum("ij,njx->nix", earlier, hot_nRX)  # whole numbers, exact
    totals = hot_nRX.sum(1)
    above = jnp.cumsum(totals, 0) - totals
    sizes = totals.sum(0)
    begin = jnp.cumsum(sizes) - sizes
    counted = (inside + (above + begin)[:, None]) * hot_nRX
    place = counted.sum(-1).reshape(-1)[:P].astype(jnp.int32)
    order = (
        jnp.zeros(P, jnp.int32)
        .at[place]
        .set(jnp.arange(P, dtype=jnp.int32), unique_indices=True)
    )
    return Sorted(place, order, sizes[:groups].astype(jnp.int32))


class Units(NamedTuple):
    """M rows in units of U rows. group [T]: of every unit; used: units that have rows, []
    ; to [M]: where each row goes; source [T * U]: which row is there, M for none."""

    group: jax.Array
    used: jax.Array
    to: jax.Array
    source: jax.Array

    def rows_of(self, x_MN: jax.Array, columns: int) -> jax.Array:
        """The rows where they go, zeros between them. -> [T * U, columns]"""
        return fill(x_MN, len(x_MN) + 1, columns)[self.source]


def align(sizes_X: jax.Array, rows: int, unit: int) -> Units:
    """sizes: rows of each group, which lie in order. int32 throughout. Rows behind the
    last group go to the end, where they may meet: what becomes of them is not defined."""
    groups = len(sizes_X)
    count = -(-rows // unit) + min(groups, rows)  # every group may have a unit in part
    ends = jnp.cumsum(sizes_X)
    units = -(-sizes_X // unit)
    last = jnp.cumsum(units)
    owner = lambda at, ends: jnp.minimum(  # noqa: E731
        jnp.searchsorted(ends, at, side="right"), groups - 1
    ).astype(jnp.int32)
    row = jnp.arange(rows)
    mine = owner(row, ends)
    shift = (last - units)[mine] * unit - (ends - sizes_X)[mine]
    to = jnp.where(row < ends[-1], row + shift, count * unit - 1)
    source = jnp.full((count * unit,), rows, jnp.int32)
    source = source.at[to].set(row.astype(jnp.int32))
    return Units(owner(jnp.arange(count), last), last[-1].astype(jnp.int32), to, source)
