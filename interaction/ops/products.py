"""Matrix products and row sums whose bits do not depend on shapes, on any platform.

So a row's result cannot depend on the rows beside it, on how many columns a device holds,
or on how a stream was cut into blocks. What the value is differs by platform: `cpu`, `tpu`
and `gpu` each fix one order, for gradients too; this is the one place that chooses
between them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from interaction.ops import cpu, gpu, tpu

BLOCK = 512  # terms of a row sum that a platform adds at once


# Traced once a shape, for all platforms, and inlined.
_once = functools.partial(jax.jit, inline=True)


def _by_platform(*args: jax.Array, on_cpu: Callable, on_tpu: Callable, on_gpu: Callable,
                 elsewhere: Callable) -> Any:  # fmt: skip
    return jax.lax.platform_dependent(
        *args, cpu=on_cpu, tpu=on_tpu, cuda=on_gpu, rocm=on_gpu, default=elsewhere
    )


@functools.partial(_once, static_argnames="turned")
def _forward(x: jax.Array, w: jax.Array, turned: bool) -> jax.Array:
    return _by_platform(
        x,
        w,
        on_cpu=lambda x, w: cpu.product(x, w, turned),
        on_tpu=lambda x, w: tpu.product(x, w, turned),
        on_gpu=lambda x, w: gpu.product(x, w, turned),
        elsewhere=lambda x, w: cpu.defined(x, w, turned),
    )


def _gradient(
    platform: Any,
    multiply: Callable,
    turned: bool,
    x: jax.Array,
    w: jax.Array,
    g: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    g = g.astype(x.dtype)
    dx = multiply(g, w, not turned)
    dw = platform.outer(g, x) if turned else platform.outer(x, g)
    return dx.astype(x.dtype), dw.astype(w.dtype)


def _with_gradient(turned: bool) -> Callable[[jax.Array, jax.Array], jax.Array]:
    @jax.custom_vjp
    def op(x: jax.Array, w: jax.Array) -> jax.Array:
        return _forward(x, w, turned)

    def backward(kept: tuple, g: jax.Array) -> tuple[jax.Array, jax.Array]:
        on = lambda platform: functools.partial(  # noqa: E731
            _gradient, platform, platform.product, turned
        )
        return _by_platform(
            *kept, g, on_cpu=on(cpu), on_tpu=on(tpu), on_gpu=on(gpu),
            elsewhere=functools.partial(_gradient, cpu, cpu.defined, turned),
        )  # fmt: skip

    op.defvjp(lambda x, w: (op(x, w), (x, w)), backward)
    return op


product = _with_gradient(turned=False)
"""[..., M, K] @ [..., K, N] -> float32 [..., M, N]; leading axes are the same."""

product_turned = _with_gradient(turned=True)
"""[..., M, K] @ [..., N, K]^T -> float32 [..., M, N]; leading axes are the same."""


@jax.custom_vjp
def grouped(x_MK: jax.Array, w_XKN: jax.Array, sizes_X: jax.Array) -> jax.Array:
    """Rows sorted by group, `sizes` of each, times their group's matrix. A row gets the
    bits that `product` gives it. -> float32 [M, N]; rows behind the last group get
    anything, and no gradient."""
    return _by_platform(
        x_MK, w_XKN, sizes_X,
        on_cpu=cpu.grouped, on_tpu=tpu.grouped, on_gpu=gpu.grouped, elsewhere=cpu.grouped,
    )  # fmt: skip


def _grouped_gradient(platform, x, w, sizes, g):
    g = jnp.where((jnp.arange(len(x)) < sizes.sum())[:, None], g.astype(x.dtype), 0)
    dx = platform.grouped(g, jnp.swapaxes(w, 1, 2), sizes)
    return dx.astype(x.dtype), platform.grouped_outer(x, g, sizes).astype(w.dtype)


def _grouped_backward(kept: tuple, g: jax.Array) -> tuple:
    on = lambda platform: functools.partial(_grouped_gradient, platform)  # noqa: E731
    dx, dw = _by_platform(
        *kept, g, on_cpu=on(cpu), on_tpu=on(tpu), on_gpu=on(gpu), elsewhere=on(cpu)
    )
    return dx, dw, None


grouped.defvjp(lambda x, w, sizes: (grouped(x, w, sizes), (x, w, sizes)), _grouped_backward)


@_once
def block_sum(x_MN: jax.Array) -> jax.Array:
    """Sums of rows of up to `BLOCK` terms. float32 [M, N] -> [M, 1]. No gradient: see
    `sums.row_sum`."""
    return _by_platform(
        x_MN, on_cpu=cpu.row_sum, on_tpu=tpu.row_sum, on_gpu=gpu.row_sum,
        elsewhere=cpu.row_sum,
    )  # fmt: skip


@_once
def row_max(x: jax.Array) -> jax.Array:
    """Largest of the last axis, which stays as 1."""
    ordinary = lambda x: x.max(-1, keepdims=True)  # noqa: E731
    return _by_platform(
        x, on_cpu=cpu.row_max, on_tpu=ordinary, on_gpu=ordinary, elsewhere=ordinary
    )
