"""Short causal depthwise convolution, float32, residual: y = x + conv(x).

Inkling has four a layer: on keys, on values, and on both branch outputs. Across blocks
its state is the last `kernel - 1` valid inputs.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from interaction.ops import Ops
from interaction.params import Init, Spec


def specs(channels: int, kernel: int, axis: str | None = None) -> Spec:
    init: Init = lambda key, shape: 0.02 * jax.random.normal(key, shape)  # noqa: E731
    return Spec((kernel, channels), (None, axis), init)


def empty_state(batch: int, channels: int, kernel: int) -> jax.Array:
    return jnp.zeros((batch, kernel - 1, channels), jnp.float32)


def short_conv(
    ops: Ops,
    x_BTC: jax.Array,
    w_KC: jax.Array,
    state_BkC: jax.Array | None,
    n_valid_B: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """-> (y [B, T, C] in x's dtype, state after `n_valid` positions [B, K-1, C])."""
    kernel, length = w_KC.shape[0], x_BTC.shape[1]
    x32 = x_BTC.astype(jnp.float32)
    if state_BkC is None:
        state_BkC = empty_state(x32.shape[0], x32.shape[2], kernel)
    padded = jnp.concatenate([state_BkC, x32], axis=1)
    w32 = w_KC.astype(jnp.float32)
    y = x32
    for tap in range(kernel):
        y = y + padded[:, tap : tap + length] * w32[tap]
    rows = n_valid_B[:, None] + jnp.arange(kernel - 1)
    state = jnp.take_along_axis(padded, rows[..., None], axis=1)
    return ops.cast(y, x_BTC.dtype.name), state
