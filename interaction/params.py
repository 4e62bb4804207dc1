"""Parameters: declared once as `Spec`s, in plain nested dicts.

One declaration gives the arrays, their abstract shapes, their count and their logical
axes (which `interaction.parallel` maps to a mesh).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array | np.ndarray  # on the device or not: what `jax.jit` takes
Params = dict[str, Any]
Draw = Callable[[jax.Array, tuple[int, ...]], jax.Array]


class Init(NamedTuple):
    """What a parameter begins as: draw(key, shape), times `scale`. Apart, because drawing
    is compiled once for all parameters of a shape."""

    draw: Draw
    scale: float | None = 1.0  # None: 1 / sqrt(fan-in); the last two axes are (in, out)


def normal(std: float) -> Init:
    return Init(jax.random.normal, std)


fan_in = Init(jax.random.normal, None)
zeros = Init(lambda key, shape: jnp.zeros(shape))
ones = Init(lambda key, shape: jnp.ones(shape))


class Spec(NamedTuple):
    """One parameter: shape, logical name of each axis, initialiser, storage dtype."""

    shape: tuple[int, ...]
    axes: tuple[str | None, ...]
    init: Init = fan_in
    dtype: str = "float32"


def is_spec(node: Any) -> bool:
    return isinstance(node, Spec)


@functools.cache
def _each(draw: Draw) -> Draw:
    return lambda key, shape: jax.vmap(lambda k: draw(k, shape[1:]))(
        jax.random.split(key, shape[0])
    )


def repeat(specs: Any, repeats: int) -> Any:
    """The same specs with a leading axis `repeat` of the given size."""

    def stack(spec: Spec) -> Spec:
        init = spec.init._replace(draw=_each(spec.init.draw))
        return Spec((repeats, *spec.shape), ("repeat", *spec.axes), init, spec.dtype)

    return jax.tree.map(stack, specs, is_leaf=is_spec)


def initialise(
    specs: Any, key: jax.Array, shardings: Mapping[str, jax.sharding.Sharding] | None = None
) -> Params:
    """Arrays for a tree of specs. Each leaf's key depends on its own path alone, and no
    value on `shardings` (by dotted name): every device makes its own part and no more."""

    def leaf(path: Any, spec: Spec) -> jax.Array:
        name = jax.tree_util.keystr(path)
        digest = sum(ord(c) * 31**i for i, c in enumerate(name)) % (2**31)
        at = shardings and shardings[jax.tree_util.keystr(path, simple=True, separator=".")]
        draw, scale = spec.init
        scale = 1 / math.sqrt(spec.shape[-2]) if scale is None else scale
        key_of = jax.random.fold_in(key, digest)
        return _made(key_of, scale, draw, spec.shape, spec.dtype, at)

    return jax.tree_util.tree_map_with_path(leaf, specs, is_leaf=is_spec)


@functools.partial(jax.jit, static_argnames=("draw", "shape", "dtype", "at"))
def _made(
    key: jax.Array,
    scale: float,
    draw: Draw,
    shape: tuple[int, ...],
    dtype: str,
    at: jax.sharding.Sharding | None,
) -> jax.Array:
    value = (scale * draw(key, shape)).astype(dtype)
    return value if at is None else jax.lax.with_sharding_constraint(value, at)


def abstract(specs: Any) -> Any:
    """`ShapeDtypeStruct`s for a tree of specs."""
    as_struct = lambda spec: jax.ShapeDtypeStruct(spec.shape, spec.dtype)  # noqa: E731
    return jax.tree.map(as_struct, specs, is_leaf=is_spec)


def count(specs: Any) -> int:
    return sum(math.prod(s.shape) for s in jax.tree.leaves(specs, is_leaf=is_spec))


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts and lists to one dict with dotted names."""
    if isinstance(tree, dict):
        items: Iterable[tuple[str, Any]] = tree.items()
    elif isinstance(tree, list | tuple) and not is_spec(tree):
        items = ((str(i), node) for i, node in enumerate(tree))
    else:
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for name, node in items:
        flat |= flatten(node, f"{prefix}.{name}" if prefix else name)
    return flat


def unflatten_like(tree: Any, flat: dict[str, Any], prefix: str = "") -> Any:
    """The inverse of `flatten`, shaped like `tree`. Raises KeyError on a missing name."""
    if isinstance(tree, Spec) or not isinstance(tree, dict | list | tuple):
        return flat[prefix]
    if isinstance(tree, dict):
        return {
            name: unflatten_like(node, flat, f"{prefix}.{name}" if prefix else name)
            for name, node in tree.items()
        }
    nodes = (unflatten_like(node, flat, f"{prefix}.{i}") for i, node in enumerate(tree))
    return type(tree)(nodes)
