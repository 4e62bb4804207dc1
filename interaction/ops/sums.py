"""Sums whose order is written down, and the largest of a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from interaction.ops.products import BLOCK, LANES, product


def tree(parts: Sequence[jax.Array], op: Callable = jnp.add) -> jax.Array:
    """((0 + 1) + (2 + 3)) + ...: neighbours first."""
    parts = list(parts)
    while len(parts) > 1:
        rest = parts[len(parts) // 2 * 2 :]
        pairs = zip(parts[0::2], parts[1::2], strict=False)
        parts = [op(a, b) for a, b in pairs] + rest
    return parts[0]


def _sum(x: jax.Array) -> jax.Array:
    n, last = x.shape[-1], x.ndim - 1
    if n <= LANES:
        return tree([jax.lax.slice_in_dim(x, i, i + 1, axis=last) for i in range(n)])
    if n > BLOCK:  # sums of sums
        x = jnp.pad(x, [(0, 0)] * last + [(0, -n % BLOCK)])
        return _sum(_sum(x.reshape(*x.shape[:-1], -1, BLOCK))[..., 0])
    rows, ones = x.reshape(-1, n), jnp.ones((n, LANES), jnp.float32)
    return product(rows, ones)[:, :1].reshape(*x.shape[:-1], 1)


@jax.custom_vjp
def row_sum(x: jax.Array) -> jax.Array:
    """Sum over the last axis, which stays as 1: a product with ones, in its order. The
    gradient is a broadcast."""
    return _sum(x)


row_sum.defvjp(
    lambda x: (_sum(x), x.shape),
    lambda shape, g: (jnp.broadcast_to(g, shape),),
)


def row_max(x: jax.Array) -> jax.Array:
    """Largest of the last axis, which stays as 1. Any order gives the same; but XLA's CPU
    backend hands a large maximum that it recognises to a library, together with the
    exponential behind it, which then has other bits than XLA's own."""
    larger = lambda a, b: jnp.where(a > b, a, b)  # noqa: E731
    top = jax.lax.reduce(x, np.float32(-np.inf), larger, (x.ndim - 1,))
    return top[..., None]
