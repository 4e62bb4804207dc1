"""Muon: a matrix is moved by its momentum made orthogonal (Jordan et al., 2024).

A few Newton-Schulz steps bring all singular values of the momentum near one. The result is
scaled to the usual size of Adam's steps, 0.2 sqrt(max(rows, columns)) (Liu et al., 2025,
"Muon is scalable for LLM training"), so that rate and weight decay serve both.

A mesh divides matrices; here each is whole on one device, which takes one exchange there
and one back: devices that hold parts of a stack of matrices swap them for whole ones.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh

from interaction import model, ops
from interaction.config import ModelConfig
from interaction.parallel.collectives import size, total
from interaction.parallel.mesh import TABLE
from interaction.parallel.placement import over
from interaction.parallel.sharding import partition
from interaction.params import Spec, flatten
from interaction.rounding import rounded

MATRICES = frozenset(
    "q k v o gate up down shared_gate shared_up shared_down".split()
)  # of layers; all else, tables and heads and what routes, is Adam's
MOMENTUM = 0.95
STEPS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # Jordan's: steep at zero, for few steps
RMS = 0.2  # of Adam's steps, about


def names(cfg: ModelConfig) -> frozenset[str]:
    """The parameters that are such matrices, by dotted name."""
    found = (name for name in flatten(model.specs(cfg)) if name.startswith("layers."))
    return frozenset(name for name in found if name.rsplit(".", 1)[1] in MATRICES)


def orthogonal(o: ops.Ops, x_MN: jax.Array) -> jax.Array:
    """About U V^T of U S V^T, in the dtype given."""
    wide = x_MN.shape[0] <= x_MN.shape[1]
    x = x_MN if wide else x_MN.T
    square = rounded(jnp.square(x.astype(jnp.float32)))
    norm = rounded(jnp.sqrt(o.row_sum(o.row_sum(square)[:, 0])[0]) + 1e-7)
    a, b, c = COEFFICIENTS

    def step(_: int, x: jax.Array) -> jax.Array:
        gram = o.product_turned(x, x)
        poly = rounded(b * gram) + rounded(c * o.product(gram, gram))
        more = o.product(o.cast(poly, x.dtype.name), x)
        return o.cast(rounded(a * x) + more, x.dtype.name)

    x = o.cast(x.astype(jnp.float32) * rounded(1.0 / norm), x.dtype.name)
    x = lax.fori_loop(0, STEPS, step, x)
    return x if wide else x.T


def _directions(o: ops.Ops, spec: Spec, x: jax.Array) -> jax.Array:
    """`orthogonal` of every matrix of a stack [..., M, N], of which this device has a part;
    scaled."""
    stack = x.reshape(-1, *x.shape[-2:])
    count = len(stack)
    divided = [
        (dim, axis)
        for dim in (1, 2)
        for axis in TABLE[spec.axes[dim - 3]]
        if size(axis) > 1
    ]
    devices = total(tuple(axis for _, axis in divided))
    stack = jnp.pad(stack, ((0, -count % devices), (0, 0), (0, 0)))
    for dim, axis in divided:
        stack = lax.all_to_all(stack, axis, 0, dim, tiled=True)
    stack = lax.map(lambda one: orthogonal(o, one), stack)
    for dim, axis in reversed(divided):
        stack = lax.all_to_all(stack, axis, dim, 0, tiled=True)
    scale = RMS * max(spec.shape[-2:]) ** 0.5
    return rounded(stack[:count].reshape(x.shape).astype(jnp.float32) * scale)


def directions(
    cfg: ModelConfig, mesh: Mesh | None, momenta: dict[str, jax.Array]
) -> dict[str, jax.Array]:
    """Of matrices by dotted name, where the parameters are, in float32. They are exchanged
    and made orthogonal in the model's dtype."""
    o, specs = ops.of(cfg), flatten(model.specs(cfg))
    at = {n: partition(n, specs[n], mesh) for n in momenta} if mesh else None

    def run(mine: dict[str, jax.Array]) -> dict[str, jax.Array]:
        return {n: _directions(o, specs[n], o.cast(x, cfg.dtype)) for n, x in mine.items()}

    return over(mesh, run, (at,), at)(momenta)
