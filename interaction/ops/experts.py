"""SwiGLU experts over routed rows, dropless, in two forms of the same sum.

`every_expert` multiplies each row by all experts and weighs the unchosen by zero: for few
small experts it is one large product. `grouped` sorts rows by expert and multiplies each
by its own: for many experts.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

FEW = 16  # experts up to which multiplying by all of them is faster (measured on CPU)


def experts(
    x_ND: jax.Array,
    chosen_NA: jax.Array,
    weight_NA: jax.Array,
    gate_XDF: jax.Array,
    up_XDF: jax.Array,
    down_XFD: jax.Array,
) -> jax.Array:
    """sum over a of weight[n,a] * expert[chosen[n,a]](x[n]). -> [N, D] in x's dtype."""
    form = every_expert if gate_XDF.shape[0] <= FEW else grouped
    return form(x_ND, chosen_NA, weight_NA, gate_XDF, up_XDF, down_XFD)


def every_expert(x_ND, chosen_NA, weight_NA, gate_XDF, up_XDF, down_XFD) -> jax.Array:
    X, D, F = gate_XDF.shape
    wide = lambda w: jnp.moveaxis(w, 0, 1).reshape(D, X * F)  # noqa: E731
    hits = jax.nn.one_hot(chosen_NA, X, dtype=weight_NA.dtype)
    weight_NX = jnp.einsum("nax,na->nx", hits, weight_NA).astype(x_ND.dtype)
    hidden = jax.nn.silu(x_ND @ wide(gate_XDF)) * (x_ND @ wide(up_XDF))
    hidden = hidden.reshape(-1, X, F) * weight_NX[..., None]
    return hidden.reshape(-1, X * F) @ down_XFD.reshape(X * F, D)


def grouped(x_ND, chosen_NA, weight_NA, gate_XDF, up_XDF, down_XFD) -> jax.Array:
    N, A = chosen_NA.shape
    X = gate_XDF.shape[0]
    order = jnp.argsort(chosen_NA.reshape(-1), stable=True)
    sizes = jnp.bincount(chosen_NA.reshape(-1), length=X).astype(jnp.int32)
    rows = x_ND[order // A]
    hidden = jax.nn.silu(jax.lax.ragged_dot(rows, gate_XDF, sizes))
    hidden = hidden * jax.lax.ragged_dot(rows, up_XDF, sizes)
    out = jax.lax.ragged_dot(hidden, down_XFD, sizes)
    out_NAD = out[jnp.argsort(order, stable=True)].reshape(N, A, -1)
    return jnp.einsum("nad,na->nd", out_NAD, weight_NA.astype(out.dtype))
