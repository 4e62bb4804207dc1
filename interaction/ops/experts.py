"""SwiGLU experts over routed rows, dropless, in four forms of the same sum.

A row's result is the sum over its experts of weight * expert(row), the weight applied
before the down projection. `every_expert` multiplies each row by all experts of this
device, unchosen ones weighing zero: for few small experts. `grouped` sorts rows by expert
and multiplies each by its own, in tiles of one expert: for many experts. `each_row` fetches
the experts of each row: for a few rows of many experts. `elsewhere` sends rows to the
devices along the mesh axis `expert` that hold theirs.

An expert's result is rounded to the rows' dtype. Experts are added in float32 as a binary
tree over their numbers, neighbours first; one that was not chosen adds an exact zero. So
the forms agree to the bit in invariant numerics, and so do devices that hold some of the
experts each: those along `expert` see each other's rows, those along `tensor` add up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from interaction.errors import InputError
from interaction.ops.dispatch import Experts, by_expert, sent_out
from interaction.ops.rows import swiglu
from interaction.ops.sums import tree
from interaction.parallel.collectives import index, size, summed, total

if TYPE_CHECKING:
    from interaction.ops import Ops

FEW = 16  # experts up to which multiplying by all of them is faster (measured on CPU)
TILE = 16  # rows of one expert that are multiplied together


def experts(
    ops: Ops,
    x_ND: jax.Array,
    chosen_NA: jax.Array,
    weight_NA: jax.Array,
    held: Experts,
) -> jax.Array:
    """sum over a of weight[n,a] * expert[chosen[n,a]](x[n]). -> [N, D] in x's dtype."""
    X, devices = held.gate_XDF.shape[0], total(("tensor", "expert"))
    held = Experts(*(ops.cast(w, x_ND.dtype.name) for w in held))
    if devices > 1 and X & (X - 1):
        raise InputError(
            f"{X} experts on each of {devices} devices; the mesh axes expert x tensor must "
            "leave a power of two"
        )
    reached = X * size("expert")
    chosen = chosen_NA - index(("tensor",)) * reached  # in these devices' numbers
    if reached > X:
        form = elsewhere
    elif X * devices <= FEW:
        form = every_expert
    else:
        form = each_row if chosen.size <= TILE else grouped
    y = form(ops, x_ND, chosen, weight_NA.astype(jnp.float32), held)
    return ops.cast(summed(y, ("tensor",), ops.all_reduce), x_ND.dtype.name)


def every_expert(ops, x_ND, chosen_NA, weight_NA, held: Experts) -> jax.Array:
    gate, up, down = held
    X, D, F = gate.shape
    N, A = chosen_NA.shape
    hits_XNA = chosen_NA == jnp.arange(X)[:, None, None]
    # An expert is chosen once or not at all: no order to choose.
    weight_XN = tree([hits_XNA[..., a] * weight_NA[:, a] for a in range(A)])
    if N < 4 * X:  # products of few rows: all experts in one batch of them
        rows = jnp.broadcast_to(x_ND, (X, N, D))
        h = swiglu(ops, ops.product(rows, gate), ops.product(rows, up),
                    weight_XN[..., None], x_ND.dtype)  # fmt: skip
        out = ops.cast(ops.product(h, down), x_ND.dtype.name).astype(jnp.float32)
        return tree([out[e] for e in range(X)])
    wide = lambda w: jnp.moveaxis(w, 0, 1).reshape(D, X * F)  # noqa: E731
    weight = jnp.repeat(weight_XN.T, F, axis=1)
    gates, ups = ops.product(x_ND, wide(gate)), ops.product(x_ND, wide(up))
    h = swiglu(ops, gates, ups, weight, x_ND.dtype)
    if not ops.ordered:  # one sum over all
        return (h @ down.reshape(X * F, D)).astype(jnp.float32)
    parts = [ops.product(h[:, e * F : (e + 1) * F], down[e]) for e in range(X)]
    return tree([ops.cast(y, x_ND.dtype.name).astype(jnp.float32) for y in parts])


def _by_prefix(out_NAD: jax.Array, chosen_NA: jax.Array, X: int) -> jax.Array:
    """The tree over X experts, of those that a row has: slots in order of their expert's
    number are added where a level of the tree joins them. -> float32 [N, D]"""
    A = chosen_NA.shape[1]
    parts = [out_NAD[:, a].astype(jnp.float32) for a in range(A)]
    numbers = [chosen_NA[:, a] for a in range(A)]
    for level in range(1, (X - 1).bit_length() + 1):
        for a in range(A - 1):
            joins = (numbers[a] >> level) == (numbers[a + 1] >> level)
            joins = joins[:, None]
            parts[a + 1] = jnp.where(joins, parts[a] + parts[a + 1], parts[a + 1])
            parts[a] = jnp.where(joins, 0.0, parts[a])
    return tree(parts)  # all but the last are zero


def each_row(ops, x_ND, chosen_NA, weight_NA, held: Experts) -> jax.Array:
    X = held.gate_XDF.shape[0]
    N, A = chosen_NA.shape
    chosen, weight = _by_number(chosen_NA, weight_NA)

    def one(pair: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        row, e, w = pair
        mine = (e >= 0) & (e < X)
        gate, up, down = (
            jax.lax.dynamic_index_in_dim(part, jnp.clip(e, 0, X - 1), 0, keepdims=False)
            for part in held
        )

        def run() -> jax.Array:
            h = swiglu(ops, ops.product(row, gate), ops.product(row, up), w, x_ND.dtype)
            return ops.cast(ops.product(h, down), x_ND.dtype.name)

        return jax.lax.cond(mine, run, lambda: jnp.zeros_like(row))

    rows = jnp.repeat(x_ND, A, axis=0)[:, None]
    out = jax.lax.map(one, (rows, chosen.reshape(-1), weight.reshape(-1)))
    return _by_prefix(out.reshape(N, A, -1), chosen, X)


def grouped(ops, x_ND, chosen_NA, weight_NA, held: Experts) -> jax.Array:
    N, A = chosen_NA.shape
    X = held.gate_XDF.shape[0]
    chosen, weight = _by_number(chosen_NA, weight_NA)
    number = jnp.where((chosen >= 0) & (chosen < X), chosen, X).reshape(-1)
    row = jnp.arange(N * A) // A
    out = by_expert(ops, x_ND, row, number, weight.reshape(-1), held)
    return _by_prefix(out.reshape(N, A, -1), chosen, X)


def elsewhere(ops, x_ND, chosen_NA, weight_NA, held: Experts) -> jax.Array:
    chosen, weight = _by_number(chosen_NA, weight_NA)
    out = sent_out(ops, x_ND, chosen, weight, held)
    return _by_prefix(out, chosen, held.gate_XDF.shape[0] * size("expert"))


def _by_number(chosen_NA: jax.Array, weight_NA: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A row's slots in order of their experts."""
    order = jnp.argsort(chosen_NA, axis=1)
    at = lambda values: jnp.take_along_axis(values, order, axis=1)  # noqa: E731
    return at(chosen_NA), at(weight_NA)
