"""Products and row sums in blocks of one shape, for GPUs, by Pallas (Triton).

As `tpu`, with smaller units: every element is computed by a [64, 32] x [32, 64] product of
the tensor cores, over terms in order, none of them split among programs. float32 is
multiplied as float32.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plgpu

from interaction.ops.groups import align, fill, round_up

UNIT = 64  # rows, and columns, of one program
TERMS = 32  # of a sum that are added at once
WARPS, STAGES = 4, 3


def _dot(x: jax.Array, w: jax.Array) -> jax.Array:
    exact = jax.lax.Precision.HIGHEST if x.dtype == jnp.float32 else None
    return plgpu.dot(x, w, precision=exact).astype(jnp.float32)


def _params() -> plgpu.CompilerParams:
    return plgpu.CompilerParams(num_warps=WARPS, num_stages=STAGES)


def _product_kernel(x_ref, w_ref, out_ref, *, turned: bool) -> None:
    def add(t: jax.Array, acc: jax.Array) -> jax.Array:
        terms = pl.ds(t * TERMS, TERMS)
        x = plgpu.load(x_ref.at[:, terms])
        w = plgpu.load(w_ref.at[:, terms] if turned else w_ref.at[terms, :])
        return acc + _dot(x, w.T if turned else w)

    zero = jnp.zeros(out_ref.shape, jnp.float32)
    out_ref[...] = jax.lax.fori_loop(0, x_ref.shape[1] // TERMS, add, zero)


@functools.partial(jax.jit, static_argnames=("turned", "interpret"), inline=True)
def product(x: jax.Array, w: jax.Array, turned: bool, interpret: bool = False) -> jax.Array:
    """[..., M, K] @ [..., K, N] (turned: [..., N, K]) -> float32 [..., M, N]."""
    lead, (M, K) = x.shape[:-2], x.shape[-2:]
    N = w.shape[-2] if turned else w.shape[-1]
    m, n, k = round_up(M, UNIT), round_up(N, UNIT), round_up(K, TERMS)
    x = fill(x.reshape(-1, M, K), m, k)
    w = fill(w.reshape(-1, *w.shape[-2:]), *((n, k) if turned else (k, n)))
    right = (UNIT, k) if turned else (k, UNIT)
    at = lambda b, i, j: (b, j, 0) if turned else (b, 0, j)  # noqa: E731
    out = pl.pallas_call(
        functools.partial(_product_kernel, turned=turned),
        out_shape=jax.ShapeDtypeStruct((len(x), m, n), jnp.float32),
        grid=(len(x), m // UNIT, n // UNIT),
        in_specs=[
            pl.BlockSpec((None, UNIT, k), lambda b, i, j: (b, i, 0)),
            pl.BlockSpec((None, *right), at),
        ],
        out_specs=pl.BlockSpec((None, UNIT, UNIT), lambda b, i, j: (b, i, j)),
        compiler_params=_params(),
        name="pinned_product",
        interpret=interpret,
    )(x, w)
    return out[:, :M, :N].reshape(*lead, M, N)


def _grouped_kernel(group_ref, x_ref, w_ref, out_ref) -> None:
    e = plgpu.load(group_ref.at[pl.program_id(0)])

    def add(t: jax.Array, acc: jax.Array) -> jax.Array:
        terms = pl.ds(t * TERMS, TERMS)
        w = plgpu.load(w_ref.at[e, terms, :])
        return acc + _dot(plgpu.load(x_ref.at[:, terms]), w)

    zero = jnp.zeros(out_ref.shape, jnp.float32)
    out_ref[...] = jax.lax.fori_loop(0, x_ref.shape[1] // TERMS, add, zero)


def outer(x_MK: jax.Array, g_MN: jax.Array) -> jax.Array:
    """x^T @ g, a product. -> float32 [K, N]."""
    return product(jnp.swapaxes(x_MK, -1, -2), g_MN, False)


@functools.partial(jax.jit, static_argnames=("interpret",), inline=True)
def grouped(
    x_MK: jax.Array, w_XKN: jax.Array, sizes_X: jax.Array, interpret: bool = False
) -> jax.Array:
    """Rows sorted by group, `sizes` of each, times their group's matrix; rows behind the
    last group get anything. -> float32 [M, N]."""
    (M, K), (X, _, N) = x_MK.shape, w_XKN.shape
    n, k = round_up(N, UNIT), round_up(K, TERMS)
    units = align(sizes_X, M, UNIT)
    x = units.rows_of(x_MK, k)
    out = pl.pallas_call(
        _grouped_kernel,
        out_shape=jax.ShapeDtypeStruct((len(x), n), jnp.float32),
        grid=(len(x) // UNIT, n // UNIT),
        in_specs=[
            pl.BlockSpec(units.group.shape, lambda t, j: (0,)),
            pl.BlockSpec((UNIT, k), lambda t, j: (t, 0)),
            pl.BlockSpec((X, k, UNIT), lambda t, j: (0, 0, j)),
        ],
        out_specs=pl.BlockSpec((UNIT, UNIT), lambda t, j: (t, j)),
        compiler_params=_params(),
        name="pinned_grouped",
        interpret=interpret,
    )(units.group, x, fill(w_XKN, k, n))
    return out[units.to, :N]


def _outer_kernel(first_ref, x_ref, g_ref, out_ref) -> None:
    e = pl.program_id(0)
    begin, end = plgpu.load(first_ref.at[e]), plgpu.load(first_ref.at[e + 1])

    def add(t: jax.Array, acc: jax.Array) -> jax.Array:
        rows = pl.ds(t * TERMS, TERMS)
        x, g = plgpu.load(x_ref.at[rows, :]), plgpu.load(g_ref.at[rows, :])
        return acc + _dot(x.T, g)

    zero = jnp.zeros(out_ref.shape, jnp.float32)
    out_ref[...] = jax.lax.fori_loop(begin, end, add, zero)


@functools.partial(jax.jit, static_argnames=("interpret",), inline=True)
def grouped_outer(
    x_MK: jax.Array, g_MN: jax.Array, sizes_X: jax.Array, interpret: bool = False
) -> jax.Array:
    """x^T @ g over the rows of each group: the gradient of `grouped` by its matrices.
    -> float32 [X, K, N]."""
    (M, K), N, X = x_MK.shape, g_MN.shape[1], len(sizes_X)
    k, n = round_up(K, UNIT), round_up(N, UNIT)
    units = align(sizes_X, M, TERMS)
    x, g = units.rows_of(x_MK, k), units.rows_of(g_MN, n)
    first = jnp.cumsum(-(-sizes_X // TERMS))
    first = jnp.concatenate([jnp.zeros(1, jnp.int32), first.astype(jnp.int32)])
    out = pl.pallas_call(
        _outer_kernel,
        out_shape=jax.ShapeDtypeStruct((X, k, n), jnp.float32),
        grid=(X, k // UNIT, n // UNIT),
        in_specs=[
            pl.BlockSpec(first.shape, lambda e, i, j: (0,)),
            pl.BlockSpec((len(x), UNIT), lambda e, i, j: (0, i)),
            pl.BlockSpec((len(x), UNIT), lambda e, i, j: (0, j)),
        ],
        out_specs=pl.BlockSpec((None, UNIT, UNIT), lambda e, i, j: (e, i, j)),
        compiler_params=_params(),
        name="pinned_outer",
        interpret=interpret,
    )(first, x, g)
    return out[:, :K, :N]


def row_sum(x_MN: jax.Array, interpret: bool = False) -> jax.Array:
    """Sums of rows, as a product with ones. float32 [M, N] -> [M, 1]."""
    ones = jnp.ones((x_MN.shape[1], UNIT), jnp.float32)
    return product(x_MN, ones, False, interpret)[:, :1]
