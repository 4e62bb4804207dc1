"""Short causal depthwise convolution, float32, residual: y = x + conv(x).

Inkling has four a layer: on keys, on values, and on both branch outputs. Across blocks
its state is the last `kernel - 1` valid inputs. Where a block holds several sessions, what
lies before a position's own is as if it were zero.
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


def _own(x_BTC: jax.Array, age_BT: jax.Array | None, behind: int) -> jax.Array:
    """Zero where the position so far behind is of another session."""
    return x_BTC if age_BT is None else jnp.where(age_BT[..., None] >= behind, x_BTC, 0.0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _add_taps(
    ops: Ops,
    x_BTC: jax.Array,
    padded_BPC: jax.Array,
    w_KC: jax.Array,
    age_BT: jax.Array | None,
) -> jax.Array:
    """x + the taps, one after another. float32. age: positions since a session began."""
    length, last = x_BTC.shape[1], len(w_KC) - 1
    for tap, w in enumerate(w_KC):
        window = _own(padded_BPC[:, tap : tap + length], age_BT, last - tap)
        x_BTC = x_BTC + rounded(window * w)
    return x_BTC


def _add_taps_backward(ops: Ops, kept: tuple, g_BTC: jax.Array) -> tuple:
    padded_BPC, w_KC, age_BT = kept
    last, length, whole = len(w_KC) - 1, g_BTC.shape[1], padded_BPC.shape[1]
    d_padded, products = jnp.zeros_like(padded_BPC), []
    for tap, w in enumerate(w_KC):
        g = _own(g_BTC, age_BT, last - tap)
        g_padded = jnp.pad(g, ((0, 0), (last, last), (0, 0)))
        d_padded = d_padded + rounded(g_padded[:, last - tap : last - tap + whole] * w)
        products.append(g * padded_BPC[:, tap : tap + length])
    return g_BTC, d_padded, jnp.stack([column_sum(ops, x) for x in products]), None


_add_taps.defvjp(
    lambda ops, x, padded, w, age: (_add_taps(ops, x, padded, w, age), (padded, w, age)),
    _add_taps_backward,
)


def short_conv(
    ops: Ops,
    x_BTC: jax.Array,
    w_KC: jax.Array,
    state_BkC: jax.Array | None,
    n_valid_B: jax.Array,
    age_BT: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """-> (y [B, T, C] in x's dtype, state after `n_valid` positions [B, K-1, C]). age: of
    a block of several sessions, positions since each position's began."""
    kernel = w_KC.shape[0]
    x32 = x_BTC.astype(jnp.float32)
    if state_BkC is None:
        state_BkC = empty_state(x32.shape[0], x32.shape[2], kernel)
    padded = jnp.concatenate([state_BkC, x32], axis=1)
    y = _add_taps(ops, x32, padded, w_KC.astype(jnp.float32), age_BT)
    rows = n_valid_B[:, None] + jnp.arange(kernel - 1)
    state = jnp.take_along_axis(padded, rows[..., None], axis=1)
    return ops.cast(y, x_BTC.dtype.name), state
