"""Invariant numerics: the order of every sum is written down."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from interaction.errors import InputError
from interaction.ops.products import grouped, product, product_turned, row_max
from interaction.ops.sums import row_sum
from interaction.parallel.collectives import tree_all_reduce as all_reduce
from interaction.parallel.collectives import tree_reduce_scatter as reduce_scatter

__all__ = [
    "all_reduce", "cast", "grouped", "ordered", "parts", "product", "product_turned",
    "reduce_scatter", "row_max", "row_sum", "split",
]  # fmt: skip

ordered = True
"""Whether sums are in a written order."""


def cast(x: jax.Array, dtype: str) -> jax.Array:
    """To bfloat16 by an explicit rounding: XLA may drop a plain conversion and its
    inverse where it fuses them, and keep them elsewhere."""
    if jnp.dtype(dtype) == jnp.bfloat16 and x.dtype != jnp.bfloat16:
        x = jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)
    return x.astype(dtype)


def split(kv_split: int, keys: int) -> int:
    """Keys that one sum of attention goes over: a split, which starts at a multiple of
    its size in the stream, wherever a ring or a block holds it."""
    return kv_split


def parts(shards: int, devices: int) -> int:
    """Parts that this device's share of a divided sum is made of: its virtual shards."""
    if shards % devices:
        raise InputError(
            f"mesh axis tensor={devices}: model.tensor_shards={shards} must be a multiple "
            "of it in invariant numerics; set it so"
        )
    return shards // devices
