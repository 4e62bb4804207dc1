"""Products and row sums in blocks of one shape, for TPUs, by Pallas.

XLA chooses a product's tiles by its shape and by what is around it; here every element
is computed by the same unit, a [128, terms] x [terms, 128] product of the matrix unit,
over terms in order. `terms` follows from the length of the sum alone, which no batch and
no mesh changes. Rows and columns are filled up to whole units with zeros; several units
share a block only to fetch less memory.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from interaction.ops.groups import align, fill, round_up

UNIT = 128  # rows, and columns, of one product of the matrix unit
TERMS = 512  # of a sum that one unit adds at once
MOST = 4  # units of a block's side


def _precision(dtype: jnp.dtype) -> jax.lax.Precision:
    return jax.lax.Precision.HIGHEST if dtype == jnp.float32 else jax.lax.Precision.DEFAULT


def _accumulate(x_ref, w_ref, out_ref, along: tuple[int, int], fresh) -> None:
    """out += x @ w, unit by unit; from zero where `fresh`. along: the axis of x, and of
    w, that is summed."""
    over, under = along
    for i in range(0, out_ref.shape[0], UNIT):
        for j in range(0, out_ref.shape[1], UNIT):
            part = jax.lax.dot_general(
                _unit(x_ref, 1 - over, i),
                _unit(w_ref, 1 - under, j),
                (((over,), (under,)), ((), ())),
                precision=_precision(x_ref.dtype),
                preferred_element_type=jnp.float32,
            )
            at = (slice(i, i + UNIT), slice(j, j + UNIT))
            out_ref[at] = jnp.where(fresh, part, out_ref[at] + part)


def _unit(ref, axis: int, start: int) -> jax.Array:
    cut = slice(start, start + UNIT)
    return ref[cut, :] if axis == 0 else ref[:, cut]


def _product_kernel(x_ref, w_ref, out_ref, *, turned: bool) -> None:
    along = (1, 1) if turned else (1, 0)
    _accumulate(x_ref, w_ref, out_ref, along, pl.program_id(3) == 0)


def _block(n: int) -> int:
    """Rows or columns of a block, which n is filled up to a multiple of."""
    return min(round_up(n, UNIT), MOST * UNIT)


@functools.partial(jax.jit, static_argnames=("turned", "interpret"), inline=True)
def product(x: jax.Array, w: jax.Array, turned: bool, interpret: bool = False) -> jax.Array:
    """[..., M, K] @ [..., K, N] (turned: [..., N, K]) -> float32 [..., M, N]."""
    lead, (M, K) = x.shape[:-2], x.shape[-2:]
    N = w.shape[-2] if turned else w.shape[-1]
    rows, columns = _block(M), _block(N)
    terms = min(round_up(K, UNIT), TERMS)
    m, n, k = round_up(M, rows), round_up(N, columns), round_up(K, terms)
    x = fill(x.reshape(-1, M, K), m, k)
    w = fill(w.reshape(-1, *w.shape[-2:]), *((n, k) if turned else (k, n)))
    right = (columns, terms) if turned else (terms, columns)
    at = lambda b, i, j, t: (b, j, t) if turned else (b, t, j)  # noqa: E731
    out = pl.pallas_call(
        functools.partial(_product_kernel, turned=turned),
        out_shape=jax.ShapeDtypeStruct((len(x), m, n), jnp.float32),
        grid=(len(x), m // rows, n // columns, k // terms),
        in_specs=[
            pl.BlockSpec((None, rows, terms), lambda b, i, j, t: (b, i, t)),
            pl.BlockSpec((None, *right), at),
        ],
        out_specs=pl.BlockSpec((None, rows, columns), lambda b, i, j, t: (b, i, j)),
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "parallel", "arbitrary")
        ),
        name="pinned_product",
        interpret=interpret,
    )(x, w)
    return out[:, :M, :N].reshape(*lead, M, N)


def _grouped_kernel(expert_ref, used_ref, x_ref, w_ref, out_ref) -> None:
    tile, k = pl.program_id(0), pl.program_id(2)

    @pl.when(tile < used_ref[0])
    def _() -> None:
        _accumulate(x_ref, w_ref, out_ref, (1, 0), k == 0)


def outer(x_MK: jax.Array, g_MN: jax.Array) -> jax.Array:
    """x^T @ g, a product. -> float32 [K, N]."""
    return product(jnp.swapaxes(x_MK, -1, -2), g_MN, False)


@functools.partial(jax.jit, static_argnames=("interpret",), inline=True)
def grouped(
    x_MK: jax.Array, w_XKN: jax.Array, sizes_X: jax.Array, interpret: bool = False
) -> jax.Array:
    """Rows sorted by group, `sizes` of each, times their group's matrix; rows behind the
    last group get anything. -> float32 [M, N]."""
    (M, K), N = x_MK.shape, w_XKN.shape[2]
    columns, terms = _block(N), min(round_up(K, UNIT), TERMS)
    n, k = round_up(N, columns), round_up(K, terms)
    units = align(sizes_X, M, UNIT)
    x = units.rows_of(x_MK, k)
    used = units.used[None]
    out = pl.pallas_call(
        _grouped_kernel,
        out_shape=jax.ShapeDtypeStruct((len(x), n), jnp.float32),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=2,
            grid=(len(x) // UNIT, n // columns, k // terms),
            in_specs=[
                pl.BlockSpec((UNIT, terms), lambda i, j, t, e, u: (i, t)),
                pl.BlockSpec((None, terms, columns), lambda i, j, t, e, u: (e[i], t, j)),
            ],
            out_specs=pl.BlockSpec((UNIT, columns), lambda i, j, t, e, u: (i, j)),
        ),
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("arbitrary", "parallel", "arbitrary")
        ),
        name="pinned_grouped",
        interpret=interpret,
    )(units.group, used, x, fill(w_XKN, k, n))
    return out[units.to, :N]


def _outer_kernel(group_ref, used_ref, x_ref, g_ref, out_ref) -> None:
    t = pl.program_id(2)
    fresh = (t == 0) | (group_ref[t] != group_ref[jnp.maximum(t - 1, 0)])

    @pl.when(t < used_ref[0])
    def _() -> None:
        _accumulate(x_ref, g_ref, out_ref, (0, 0), fresh)


@functools.partial(jax.jit, static_argnames=("interpret",), inline=True)
def grouped_outer(
    x_MK: jax.Array, g_MN: jax.Array, sizes_X: jax.Array, interpret: bool = False
) -> jax.Array:
    """x^T @ g over the rows of each group: the gradient of `grouped` by its matrices.
    -> float32 [X, K, N]."""
    (M, K), N, X = x_MK.shape, g_MN.shape[1], len(sizes_X)
    rows, columns = _block(K), _block(N)
    k, n = round_up(K, rows), round_up(N, columns)
    units = align(sizes_X, M, UNIT)
    x, g = units.rows_of(x_MK, k), units.rows_of(g_MN, n)
    out = pl.pallas_call(
        _outer_kernel,
        out_shape=jax.ShapeDtypeStruct((X, k, n), jnp.float32),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=2,
            grid=(k // rows, n // columns, len(x) // UNIT),
            in_specs=[
                pl.BlockSpec((UNIT, rows), lambda i, j, t, e, u: (t, i)),
                pl.BlockSpec((UNIT, columns), lambda i, j, t, e, u: (t, j)),
            ],
            out_specs=pl.BlockSpec(
                (None, rows, columns), lambda i, j, t, e, u: (e[t], i, j)
            ),
        ),
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "arbitrary")
        ),
        name="pinned_outer",
        interpret=interpret,
    )(units.group, units.used[None], x, g)
    # A group without rows has no unit that would have written its block.
    return jnp.where((sizes_X > 0)[:, None, None], out[:, :K, :N], 0.0)


def _sum_kernel(x_ref, out_ref) -> None:
    total = x_ref[:, :UNIT]
    for j in range(UNIT, x_ref.shape[1], UNIT):
        total = total + x_ref[:, j : j + UNIT]
    out_ref[...] = jnp.broadcast_to(total.sum(1, keepdims=True), out_ref.shape)


@functools.partial(jax.jit, static_argnames=("interpret",), inline=True)
def row_sum(x_MN: jax.Array, interpret: bool = False) -> jax.Array:
    """Sums of rows, of up to `TERMS` terms: units added in order, then the lanes of one.
    float32 [M, N] -> [M, 1]."""
    M, N = x_MN.shape
    m, n = round_up(M, UNIT), round_up(N, UNIT)
    out = pl.pallas_call(
        _sum_kernel,
        out_shape=jax.ShapeDtypeStruct((m, UNIT), jnp.float32),
        grid=(m // UNIT,),
        in_specs=[pl.BlockSpec((UNIT, n), lambda i: (i, 0))],
        out_specs=pl.BlockSpec((UNIT, UNIT), lambda i: (i, 0)),
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel",)),
        name="pinned_row_sum",
        interpret=interpret,
    )(fill(x_MN, m, n))
    return out[:M, :1]
