"""What happens to one row alone, from products and row sums of either mode."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from interaction.ops.sums import tree
from interaction.parallel.collectives import summed, total
from interaction.rounding import rounded

if TYPE_CHECKING:
    from interaction.ops import Ops


def matmul(ops: Ops, x: jax.Array, w: jax.Array, turned: bool = False) -> jax.Array:
    """[..., K] @ [K, N] (turned: [N, K]) -> [..., N] in x's dtype."""
    return ops.cast(matmul32(ops, x, w, turned), x.dtype.name)


def matmul32(ops: Ops, x: jax.Array, w: jax.Array, turned: bool = False) -> jax.Array:
    """`matmul`, float32 as it was summed."""
    product = ops.product_turned if turned else ops.product
    y = product(x.reshape(-1, x.shape[-1]), ops.cast(w, x.dtype.name))
    return y.reshape(*x.shape[:-1], -1).astype(jnp.float32)


def matmul_divided(ops: Ops, x: jax.Array, w: jax.Array, shards: int) -> jax.Array:
    """x @ w where K is divided over the mesh axis `tensor`: one part a virtual shard,
    added as a tree, first here, then over the devices. [..., K] @ [K, N] -> [..., N]."""
    K, parts = x.shape[-1], ops.parts(shards, total(("tensor",)))
    k, rows = K // parts, x.reshape(-1, K)
    w = ops.cast(w, x.dtype.name)
    part = lambda i: ops.product(rows[:, i * k : (i + 1) * k], w[i * k : (i + 1) * k])  # noqa: E731
    y = tree([part(i) for i in range(parts)]).astype(jnp.float32)
    y = summed(y, ("tensor",), ops.all_reduce)
    return ops.cast(y.reshape(*x.shape[:-1], -1), x.dtype.name)


def swiglu(
    ops: Ops, gate: jax.Array, up: jax.Array, weight: jax.Array | None, dtype: jnp.dtype
) -> jax.Array:
    """silu(gate) * up, times `weight` [..., 1] unless None, in float32, then rounded."""
    hidden = jax.nn.silu(gate.astype(jnp.float32)) * up.astype(jnp.float32)
    hidden = hidden if weight is None else hidden * weight
    return ops.cast(hidden, dtype.name)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 2))
def unit_rms(ops: Ops, x: jax.Array, eps: float) -> jax.Array:
    """x / rms(x) over the last axis, float32."""
    return _unit_rms(ops, x, eps)[0]


def _unit_rms(ops: Ops, x: jax.Array, eps: float) -> tuple[jax.Array, jax.Array]:
    scale = jax.lax.rsqrt(ops.row_sum(x * x) * (1.0 / x.shape[-1]) + eps)
    return x * scale, scale


def _unit_rms_forward(ops: Ops, x: jax.Array, eps: float) -> tuple[jax.Array, tuple]:
    y, scale = _unit_rms(ops, x, eps)
    return y, (y, scale)


def _unit_rms_backward(ops: Ops, eps: float, kept: tuple, g: jax.Array) -> tuple:
    y, scale = kept
    along = ops.row_sum(g * y) * (1.0 / y.shape[-1])
    return (scale * (g - y * along),)


unit_rms.defvjp(_unit_rms_forward, _unit_rms_backward)


def column_sum(ops: Ops, x: jax.Array) -> jax.Array:
    """Over all but the last axis, in the order of a product. float32 [..., N] -> [N]."""
    rows = rounded(x.reshape(-1, x.shape[-1]))
    return ops.product(jnp.ones((1, len(rows)), jnp.float32), rows)[0]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def by_column(ops: Ops, x: jax.Array, scale: jax.Array) -> jax.Array:
    """x [..., N] * scale [N], float32. The scale's gradient is a sum over all rows: an
    ordinary one has an order of its own in every program."""
    return x * scale


def _by_column_backward(ops: Ops, kept: tuple, g: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, scale = kept
    return g * scale, column_sum(ops, g * x)


by_column.defvjp(lambda ops, x, scale: (x * scale, (x, scale)), _by_column_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def biased(ops: Ops, x: jax.Array, bias: jax.Array) -> jax.Array:
    """x [..., N] + bias [N], float32; gradients as those of `by_column`."""
    return x + bias


biased.defvjp(
    lambda ops, x, bias: (x + bias, None),
    lambda ops, _, g: (g, column_sum(ops, g)),
)


def rms_norm(ops: Ops, x: jax.Array, scale: jax.Array | None, eps: float) -> jax.Array:
    """x / rms(x) over the last axis, times `scale` [last axis] unless None; inside in
    float32, rounded to x's dtype before the scale as Inkling does."""
    y = ops.cast(unit_rms(ops, x.astype(jnp.float32), eps), x.dtype.name)
    if scale is None:
        return y
    scale32 = ops.cast(scale, x.dtype.name).astype(jnp.float32)
    return ops.cast(by_column(ops, y.astype(jnp.float32), scale32), x.dtype.name)


def layer_norm(ops: Ops, x: jax.Array, eps: float) -> jax.Array:
    """Zero mean and unit variance over the last axis, float32."""
    return unit_rms(ops, x - ops.row_sum(x) * (1.0 / x.shape[-1]), eps)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def divide(ops: Ops, x: jax.Array, by: jax.Array) -> jax.Array:
    """x / by, by reciprocal, `by` [..., 1]. Gradients divide by nothing: chains of
    divisions are simplified differently in programs for one device and for several."""
    return x * rounded(1.0 / by)


def _divide_forward(ops: Ops, x: jax.Array, by: jax.Array) -> tuple[jax.Array, tuple]:
    inverse = rounded(1.0 / by)
    return x * inverse, (x * inverse, inverse)


def _divide_backward(ops: Ops, kept: tuple, g: jax.Array) -> tuple[jax.Array, jax.Array]:
    y, inverse = kept
    return g * inverse, -ops.row_sum(g * y) * inverse


divide.defvjp(_divide_forward, _divide_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def scaled(ops: Ops, x: jax.Array, by: jax.Array) -> jax.Array:
    """x times one learned number, float32 [1], whose gradient is one long sum."""
    return x * by


def _scaled_backward(ops: Ops, kept: tuple, g: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, by = kept
    return g * by, ops.row_sum(rounded(g * x).reshape(1, -1))[0]


scaled.defvjp(lambda ops, x, by: (x * by, (x, by)), _scaled_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def softmax(ops: Ops, x: jax.Array) -> jax.Array:
    """Over the last axis, float32."""
    e = jnp.exp(x - ops.row_max(x))
    return divide(ops, e, ops.row_sum(e))


def _softmax_forward(ops: Ops, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    y = softmax(ops, x)
    return y, y


def _softmax_backward(ops: Ops, y: jax.Array, g: jax.Array) -> tuple[jax.Array]:
    return (y * (g - ops.row_sum(g * y)),)


softmax.defvjp(_softmax_forward, _softmax_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def logsumexp(ops: Ops, x: jax.Array) -> jax.Array:
    """Over the last axis, which stays as 1. float32."""
    top = ops.row_max(x)
    return top + jnp.log(ops.row_sum(jnp.exp(x - top)))


def _lse_forward(ops: Ops, x: jax.Array) -> tuple[jax.Array, tuple]:
    y = logsumexp(ops, x)
    return y, (x, y)


def _lse_backward(ops: Ops, kept: tuple, g: jax.Array) -> tuple[jax.Array]:
    x, y = kept
    return (g * jnp.exp(x - y),)


logsumexp.defvjp(_lse_forward, _lse_backward)


def log_softmax(ops: Ops, x: jax.Array) -> jax.Array:
    return x - logsumexp(ops, x)
