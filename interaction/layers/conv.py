"""Short causal depthwise convolution, float32, residual: y = x + conv(x).

Inkling has four a layer: on keys, on values, and on both branch outputs. Across blocks
its state is the last `kernel - 1` valid inputs.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from interaction.ops import Ops
from interaction.ops.rows import column_sum
from interaction.params import Spec, normal
from interaction.rounding import rounded


def specs(channels: int, kernel: int, axis: str | None = None) -> Spec:
    return Spec((kernel, channels), (None, axis), normal(0.02))


def empty_state(batch: int, channels: int, kernel: int) -> jax.Array:
    return jnp.zeros((batch, kernel - 1, channels), jnp.float32)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _add_taps(
    ops: Ops, x_BTC: jax.Array, padded_BPC: jax.Array, w_KC: jax.Array
) -> jax.Array:
    """x + the taps, one after another. float32."""
    for tap, w in enumerate(w_KC):
        x_BTC = x_BTC + rounded(padded_BPC[:, tap : tap + x_BTC.shape[1]] * w)
    return x_BTC


def _add_taps_backward(ops: Ops, kept: tuple, g_BTC: jax.Array) -> tuple:
    padded_BPC, w_KC = kept
    kernel, length, whole = len(w_KC), g_BTC.shape[1], padded_BPC.shape[1]
    g_padded = jnp.pad(g_BTC, ((0, 0), (kernel - 1, kernel - 1), (0, 0)))
    d_padded = jnp.zeros_like(padded_BPC)
    for tap, w in enumerate(w_KC):
        first = kernel - 1 - tap
        d_padded = d_padded + rounded(g_padded[:, first : first + whole] * w)
    products = (g_BTC * padded_BPC[:, tap : tap + length] for tap in range(kernel))
    return g_BTC, d_padded, jnp.stack([column_sum(ops, x) for x in products])


_add_taps.defvjp(
    lambda ops, x, padded, w: (_add_taps(ops, x, padded, w), (padded, w)),
    _add_taps_backward,
)


def short_conv(
    ops: Ops,
    x_BTC: jax.Array,
    w_KC: jax.Array,
    state_BkC: jax.Array | None,
    n_valid_B: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """-> (y [B, T, C] in x's dtype, state after `n_valid` positions [B, K-1, C])."""
    kernel = w_KC.shape[0]
    x32 = x_BTC.astype(jnp.float32)
    if state_BkC is None:
        state_BkC = empty_state(x32.shape[0], x32.shape[2], kernel)
    padded = jnp.concatenate([state_BkC, x32], axis=1)
    y = _add_taps(ops, x32, padded, w_KC.astype(jnp.float32))
    rows = n_valid_B[:, None] + jnp.arange(kernel - 1)
    state = jnp.take_along_axis(padded, rows[..., None], axis=1)
    return ops.cast(y, x_BTC.dtype.name), state
