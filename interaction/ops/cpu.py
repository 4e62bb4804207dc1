"""Products and row sums in one order on CPUs, by XLA's own kernels.

A product has one defined value here: for every output element, a chain of fused
multiply-adds in float32 over k in order, from zero, begun anew every `BLOCK` terms; the
blocks are added in order.

XLA's CPU kernels follow that chain for some shapes, which depend on the machine's vector
width (`FORMS`, measured on jax 0.10.2 to 0.12): `_in_order` brings every product into one
of them, at the speed of an ordinary product. A probe compares the kernels with the
definition once a process; where no form fits, `chain` computes the definition itself,
slowly.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from interaction.ops.groups import align
from interaction.rounding import rounded

BLOCK = 512  # terms of a chain: kernels split longer sums as they like
LANES = 16  # columns: kernels take other paths for a rest of fewer
LARGE = 32_768  # elements of a right side above which kernels split sums of few rows
TILE = 16  # rows of one group that `grouped` multiplies together
DEEP = 64  # and that `grouped_outer` does


class Form(NamedTuple):
    """Shapes in which kernels follow the chain. few: rows below which other kernels take
    over, which want `least` columns and a right side that is not `LARGE`; many: what the
    columns of more rows are a multiple of; turned: whether kernels may turn the right side
    as they go."""

    few: int
    least: int
    many: int
    turned: bool

    def columns(self, M: int, N: int) -> int:
        """N and as many columns more as a product of M rows needs."""
        if M < self.few:
            return max(-(-N // LANES) * LANES, 1 if M == 1 else self.least)
        return -(-N // self.many) * self.many


FORMS = (
    Form(few=64, least=16, many=16, turned=True),  # kernels for AVX2
    Form(few=49, least=32, many=64, turned=False),  # for AVX-512
)


def chain(x: jax.Array, w: jax.Array) -> jax.Array:
    """The definition, as a loop over k of elementwise multiply-adds, which compilers
    fuse for every shape alike. float32 [..., M, K] @ [..., K, N] -> [..., M, N]."""

    def add(k: jax.Array, acc: jax.Array) -> jax.Array:
        column = jax.lax.dynamic_slice_in_dim(x, k, 1, -1)
        return acc + column * jax.lax.dynamic_slice_in_dim(w, k, 1, -2)

    shape = (*x.shape[:-1], w.shape[-1])
    return jax.lax.fori_loop(0, x.shape[-1], add, jnp.zeros(shape, jnp.float32))


def dot(x: jax.Array, w: jax.Array, turned: bool) -> jax.Array:
    return x @ (jnp.swapaxes(w, -1, -2) if turned else w)


def _part(form: Form, x: jax.Array, w: jax.Array, turned: bool) -> jax.Array:
    """A product of as many columns as the form has, of which some are used: XLA must not
    compute those alone."""
    axis = w.ndim - (2 if turned else 1)
    N = w.shape[axis]
    more = form.columns(x.shape[-2], N) - N
    if not more:
        return dot(x, w, turned)
    pad = [(0, 0)] * w.ndim
    pad[axis] = (0, more)
    return jax.lax.optimization_barrier(dot(x, jnp.pad(w, pad), turned))[..., :N]


def _in_order(form: Form, x: jax.Array, w: jax.Array, turned: bool) -> jax.Array:
    """A product in shapes whose kernels follow the chain. With `turned`, w is [N, K]."""
    M, K = x.shape[-2:]
    if turned and M == 1:  # a dot of two contiguous rows is summed in lanes
        twice = jax.lax.optimization_barrier(jnp.repeat(x, 2, axis=-2))
        return jax.lax.optimization_barrier(_in_order(form, twice, w, turned))[..., :1, :]
    if turned and not form.turned:
        return _in_order(form, x, rounded(jnp.swapaxes(w, -1, -2)), False)
    axis = w.ndim - (2 if turned else 1)
    N = width = w.shape[axis]
    if 1 < M < form.few and K * N > LARGE:  # a single row has kernels of its own
        width = max(LARGE // K // LANES, 1) * LANES
    cut = lambda a, b: jax.lax.slice_in_dim(w, a, b, axis=axis)  # noqa: E731
    starts = range(0, N, width)
    parts = [_part(form, x, cut(a, min(a + width, N)), turned) for a in starts]
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, -1)


def expected(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """One chain by numpy: float32 [M, K] @ [K, N]. A product of two float32 is exact in
    float64, so that rounding the sum is the fused multiply-add (but for double rounding,
    about once in 2^29)."""
    acc = np.zeros((len(x), w.shape[1]), np.float32)
    wide_x, wide_w = x.astype(np.float64), w.astype(np.float64)
    for k in range(x.shape[1]):
        acc = (wide_x[:, k, None] * wide_w[k] + acc).astype(np.float32)
    return acc


PROBES = (
    (1, 48, 64), (1, 512, 768), (2, 512, 16), (17, 192, 192), (48, 512, 80), (49, 64, 48),
    (63, 320, 137), (64, 512, 144), (300, 512, 640),
)  # fmt: skip


def _follows(form: Form) -> bool:
    """Whether kernels give the defined value, on shapes of every class."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    pairs = [(draw(M, K), draw(K, N)) for M, K, N in PROBES]
    turned = [(x, np.ascontiguousarray(w.T)) for x, w in pairs]

    @jax.jit
    def run(pairs, turned):
        straight = [_in_order(form, x, w, False) for x, w in pairs]
        return straight, [_in_order(form, x, w, True) for x, w in turned]

    want = [expected(x, w) for x, w in pairs]
    return all(
        (np.asarray(y) == z).all()
        for got in run(pairs, turned)
        for y, z in zip(got, want, strict=True)
    )


@functools.cache
def machine_form() -> Form | None:
    """The form that this machine's CPU kernels follow, tried once; None if none. Where
    programs run elsewhere there is nothing to try."""
    if jax.default_backend() != "cpu":
        return FORMS[0]
    with jax.ensure_compile_time_eval():
        for form in FORMS:
            if _follows(form):
                return form
    warnings.warn(
        "this CPU's kernels add products in an order of their own: invariant numerics go "
        "the slow way here",
        stacklevel=2,
    )
    return None


def product(x: jax.Array, w: jax.Array, turned: bool) -> jax.Array:
    """[..., M, K] @ [..., K, N] (turned: [..., N, K]) -> float32 [..., M, N]."""
    return _blocks(x, w, turned, machine_form())


def outer(x_MK: jax.Array, g_MN: jax.Array) -> jax.Array:
    """x^T @ g, a product. -> float32 [K, N]. x is turned in memory first: kernels that turn
    it as they go split sums by the number of threads, and so by that of devices."""
    return product(rounded(jnp.swapaxes(x_MK, -1, -2)), g_MN, False)


def defined(x: jax.Array, w: jax.Array, turned: bool) -> jax.Array:
    """`product` by its definition, on any platform."""
    return _blocks(x, w, turned, None)


def _blocks(x: jax.Array, w: jax.Array, turned: bool, form: Form | None) -> jax.Array:
    x, w = x.astype(jnp.float32), w.astype(jnp.float32)
    K, axis = x.shape[-1], w.ndim - (1 if turned else 2)
    total = None
    for a in range(0, K, BLOCK):
        b = min(a + BLOCK, K)
        left = jax.lax.slice_in_dim(x, a, b, axis=x.ndim - 1)
        right = jax.lax.slice_in_dim(w, a, b, axis=axis)
        if form:
            part = _in_order(form, left, right, turned)
        else:
            part = chain(left, jnp.swapaxes(right, -1, -2) if turned else right)
        total = part if total is None else total + part
    assert total is not None  # K is at least 1
    return total


def grouped(x_MK: jax.Array, w_XKN: jax.Array, sizes_X: jax.Array) -> jax.Array:
    """Rows sorted by group, `sizes` of each, times their group's matrix: a loop over the
    tiles that there are. -> float32 [M, N]; rows behind the last group get anything."""
    M, N = x_MK.shape[0], w_XKN.shape[-1]
    tiles = align(sizes_X, M, TILE)
    x = tiles.rows_of(x_MK, x_MK.shape[1])

    def one(t: jax.Array, out: jax.Array) -> jax.Array:
        rows = jax.lax.dynamic_slice_in_dim(x, t * TILE, TILE)
        e = tiles.group[t]
        w = jax.lax.dynamic_index_in_dim(w_XKN, e, 0, keepdims=False)
        y = product(rows, w, False)
        return jax.lax.dynamic_update_slice_in_dim(out, y, t * TILE, 0)

    out = jnp.zeros((len(x), N), jnp.float32)
    return jax.lax.fori_loop(0, tiles.used, one, out)[tiles.to]


def grouped_outer(x_MK: jax.Array, g_MN: jax.Array, sizes_X: jax.Array) -> jax.Array:
    """x^T @ g over the rows of each group, whose tiles are added in order: the gradient of
    `grouped` by its matrices. -> float32 [X, K, N]."""
    M, K, N = *x_MK.shape, g_MN.shape[1]
    tiles = align(sizes_X, M, DEEP)
    x, g = tiles.rows_of(x_MK, K), tiles.rows_of(g_MN, N)

    def add(t: jax.Array, out: jax.Array) -> jax.Array:
        rows = (jax.lax.dynamic_slice_in_dim(a, t * DEEP, DEEP) for a in (x, g))
        e = tiles.group[t]
        sofar = jax.lax.dynamic_index_in_dim(out, e, 0, keepdims=False)
        return jax.lax.dynamic_update_index_in_dim(out, sofar + outer(*rows), e, 0)

    out = jnp.zeros((len(sizes_X), K, N), jnp.float32)
    return jax.lax.fori_loop(0, tiles.used, add, out)


def _over_rows(x: jax.Array, first: float, body: Callable) -> jax.Array:
    """A row's elements brought together in order, by a body that no compiler knows: one
    that it knows it may hand to a library. [..., N] -> [..., 1]

    A reduction, since compilers do not compute one again for everybody who uses it; over a
    window as wide as the row, since partitioners would make an all-reduce of a whole one
    whose rows lie on several devices, and there is none with such a body.
    """
    window = (*(1 for _ in x.shape[:-1]), x.shape[-1])
    return jax.lax.reduce_window(x, np.float32(first), body, window, window, "VALID")


def row_sum(x_MN: jax.Array) -> jax.Array:
    """Sums of rows: halves are added until `LANES` columns or fewer are left, and those in
    order. On any platform. -> [M, 1]"""
    x = rounded(x_MN)
    while (n := x.shape[1]) > LANES:
        half = -(-n // 2)
        x = jnp.pad(x, ((0, 0), (0, 2 * half - n)))
        x = x[:, :half] + x[:, half:]
    return _over_rows(x, 0, lambda a, b: rounded(a + b))


def row_max(x: jax.Array) -> jax.Array:
    """Any order gives the same. But XLA's CPU backend hands a large maximum that it
    recognises to a library, together with the exponential behind it, which then has other
    bits than XLA's own. [..., N] -> [..., 1]"""
    return _over_rows(x, -np.inf, lambda a, b: jnp.where(a > b, a, b))
