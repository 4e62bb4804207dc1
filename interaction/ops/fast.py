"""Fast numerics: XLA chooses the order of every sum."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from interaction.parallel.collectives import xla_all_reduce as all_reduce
from interaction.parallel.collectives import xla_reduce_scatter as reduce_scatter

__all__ = [
    "all_reduce", "cast", "grouped", "ordered", "parts", "product", "product_turned",
    "reduce_scatter", "row_max", "row_sum", "split",
]  # fmt: skip

ordered = False
"""Whether sums are in a written order."""


def product(x: jax.Array, w: jax.Array) -> jax.Array:
    return x @ w


def product_turned(x: jax.Array, w: jax.Array) -> jax.Array:
    return x @ jnp.swapaxes(w, -1, -2)


def grouped(x_MK: jax.Array, w_XKN: jax.Array, sizes_X: jax.Array) -> jax.Array:
    return jax.lax.ragged_dot(x_MK, w_XKN, sizes_X)


def row_sum(x: jax.Array) -> jax.Array:
    return x.sum(-1, keepdims=True)


def row_max(x: jax.Array) -> jax.Array:
    return x.max(-1, keepdims=True)


def cast(x: jax.Array, dtype: str) -> jax.Array:
    return x.astype(dtype)


def split(kv_split: int, keys: int) -> int:
    """Keys that one sum of attention goes over: all."""
    return keys


def parts(shards: int, devices: int) -> int:
    """Parts that this device's share of a divided sum is made of: one."""
    return 1
