"""Sums whose order is written down."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from interaction.ops.products import BLOCK, block_sum
from interaction.rounding import rounded

FEW = 16  # terms that are added one by one


def tree(parts: Sequence[jax.Array]) -> jax.Array:
    """((0 + 1) + (2 + 3)) + ...: neighbours first."""
    parts = list(parts)
    while len(parts) > 1:
        rest = parts[len(parts) // 2 * 2 :]
        pairs = zip(parts[0::2], parts[1::2], strict=False)
        parts = [a + b for a, b in pairs] + rest
    return parts[0]


def _sum(x: jax.Array) -> jax.Array:
    n, last = x.shape[-1], x.ndim - 1
    if n <= FEW:
        x = rounded(x)
        return tree([jax.lax.slice_in_dim(x, i, i + 1, axis=last) for i in range(n)])
    if n > BLOCK:  # sums of sums
        x = jnp.pad(x, [(0, 0)] * last + [(0, -n % BLOCK)])
        return _sum(_sum(x.reshape(*x.shape[:-1], -1, BLOCK))[..., 0])
    return block_sum(x.reshape(-1, n)).reshape(*x.shape[:-1], 1)


@jax.custom_vjp
def row_sum(x: jax.Array) -> jax.Array:
    """Sum over the last axis, which stays as 1. float32; the gradient is a broadcast."""
    return _sum(x)


row_sum.defvjp(
    lambda x: (_sum(x), x.shape),
    lambda shape, g: (jnp.broadcast_to(g, shape),),
)
