"""Collectives whose result does not depend on the number of devices, beside XLA's own.

A sum over a mesh axis is a binary tree over the devices' numbers, neighbours first: a
butterfly of exchanges, so that every device computes the same sums. With local subtrees
over neighbouring virtual shards below it, the tree over all virtual shards is one and the
same on 1, 2, 4 and 8 devices. `psum` promises no order.

Where no mesh axis is bound, an axis has one device and nothing happens.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from interaction.errors import InputError
from interaction.rounding import rounded

Axes = tuple[str, ...]  # of the mesh, in its order
AllReduce = Callable[[jax.Array, Axes], jax.Array]
ReduceScatter = Callable[[jax.Array, str, int], jax.Array]
Cast = Callable[[jax.Array], jax.Array]


def size(axis: str) -> int:
    """Devices along a mesh axis; 1 outside `shard_map`."""
    try:
        return lax.axis_size(axis)
    except NameError:
        return 1


def total(axes: Axes) -> int:
    n = 1
    for axis in axes:
        n *= size(axis)
    return n


def index(axes: Axes) -> jax.Array | int:
    """This device's number along several axes, the last one fastest."""
    i: jax.Array | int = 0
    for axis in axes:
        n = size(axis)
        i = i * n + (lax.axis_index(axis) if n > 1 else 0)
    return i


def anywhere(flag: jax.Array, axes: Axes) -> jax.Array:
    """Whether a bool is true on any device."""
    return largest(flag.astype(jnp.int32), axes) > 0


def largest(x: jax.Array, axes: Axes) -> jax.Array:
    """Of all devices. No order matters."""
    axes = tuple(axis for axis in axes if size(axis) > 1)
    return lax.pmax(x, axes) if axes else x


def _bits(axis: str) -> int:
    n = size(axis)
    if n & (n - 1):
        raise InputError(
            f"mesh axis {axis}={n}: invariant sums need a power of two; use one, or "
            "numerics=fast"
        )
    return n.bit_length() - 1


def _exchange(x: jax.Array, axis: str, bit: int) -> jax.Array:
    """The array of the device whose number differs in one bit."""
    pairs = [(i, i ^ (1 << bit)) for i in range(size(axis))]
    return lax.ppermute(x, axis, pairs)


def _apart(x: jax.Array) -> jax.Array:
    """What a collective also does where there is nothing to send: keep XLA from merging
    what is before it with what is behind it."""
    return lax.optimization_barrier(x)


def tree_all_reduce(x: jax.Array, axes: Axes) -> jax.Array:
    """Sum over the axes, the last one first."""
    x = _apart(rounded(x))
    for axis in reversed(axes):
        for bit in range(_bits(axis)):
            x = x + _exchange(x, axis, bit)
    return x


def tree_reduce_scatter(x: jax.Array, axis: str, dim: int) -> jax.Array:
    """Sum over an axis, in float32; every device keeps its slice of `dim`. Halves the
    array at each exchange: together a device sends it once."""
    x, bits = _apart(rounded(x.astype(jnp.float32))), _bits(axis)
    if not bits:
        return x
    me, shape = lax.axis_index(axis), x.shape
    before, behind = shape[:dim], shape[dim + 1 :]
    x = x.reshape(*before, *[2] * bits, -1, *behind)  # the slice's number, in bits
    for bit in range(bits):
        at = dim + bits - 1 - bit  # the highest bit first; those behind it are gone
        mine = (me >> bit) & 1
        keep = lax.dynamic_index_in_dim(x, mine, at, keepdims=False)
        give = lax.dynamic_index_in_dim(x, 1 - mine, at, keepdims=False)
        x = keep + _exchange(give, axis, bit)
    return x.reshape(*before, shape[dim] >> bits, *behind)


def xla_all_reduce(x: jax.Array, axes: Axes) -> jax.Array:
    axes = tuple(axis for axis in axes if size(axis) > 1)
    return lax.psum(x, axes) if axes else x


def xla_reduce_scatter(x: jax.Array, axis: str, dim: int) -> jax.Array:
    if size(axis) == 1:
        return x
    return lax.psum_scatter(x, axis, scatter_dimension=dim, tiled=True)


def all_gather(x: jax.Array, axis: str, dim: int) -> jax.Array:
    """Slices side by side: exact in any order."""
    return _apart(x) if size(axis) == 1 else lax.all_gather(x, axis, axis=dim, tiled=True)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def summed(x: jax.Array, axes: Axes, reduce: AllReduce) -> jax.Array:
    """Parts of a sum on every device -> the sum on all. What the sum is used for is the
    same on all devices, so its gradient is each part's."""
    return reduce(x, axes)


summed.defvjp(
    lambda x, axes, reduce: (reduce(x, axes), None),
    lambda axes, reduce, _, g: (g,),
)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def fanned(x: jax.Array, axes: Axes, reduce: AllReduce) -> jax.Array:
    """What all devices have, used differently on each: the gradients add up."""
    return x


fanned.defvjp(
    lambda x, axes, reduce: (x, None),
    lambda axes, reduce, _, g: (reduce(g, axes),),
)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4, 5))
def gathered(
    x: jax.Array, axis: str, dim: int, cast: Cast, scatter: ReduceScatter, widen: bool
) -> jax.Array:
    """Slices of a parameter -> the whole, cast before it is sent; its gradient is summed
    and scattered back, and only then has the slice's dtype.

    widen: the whole has that dtype again, so that the gradients of its uses add up in it.
    """
    y = all_gather(cast(x), axis, dim)
    return y.astype(x.dtype) if widen else y


gathered.defvjp(
    lambda x, axis, dim, cast, scatter, widen: (
        gathered(x, axis, dim, cast, scatter, widen),
        jnp.zeros(0, x.dtype),
    ),
    lambda axis, dim, cast, scatter, widen, like, g: (
        scatter(g, axis, dim).astype(like.dtype),
    ),
)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def joined(x: jax.Array, axis: str, dim: int) -> jax.Array:
    """Slices that each device computed -> the whole on all, where it is used alike."""
    return all_gather(x, axis, dim)


def _joined_backward(axis: str, dim: int, length: int, g: jax.Array) -> tuple[jax.Array]:
    start = index((axis,)) * length
    return (lax.dynamic_slice_in_dim(g, start, length, dim),)


joined.defvjp(
    lambda x, axis, dim: (all_gather(x, axis, dim), x.shape[dim]), _joined_backward
)
