"""Parameters: declared once as `Spec`s, in plain nested dicts.

One declaration gives the arrays, their abstract shapes, their count and their logical
axes (which `interaction.parallel` maps to a mesh).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array | np.ndarray  # on the device or not: what `jax.jit` takes
Params = dict[str, Any]
Init = Callable[[jax.Array, tuple[int, ...]], jax.Array]


def normal(std: float) -> Init:
    return lambda key, shape: std * jax.random.normal(key, shape, jnp.float32)


def fan_in(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Normal with variance 1 / fan-in; the last two axes are (in, out)."""
    return jax.random.normal(key, shape, jnp.float32) / math.sqrt(shape[-2])


def zeros(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jnp.zeros(shape, jnp.float32)


def ones(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jnp.ones(shape, jnp.float32)


class Spec(NamedTuple):
    """One parameter: shape, logical name of each axis, initialiser, storage dtype."""

    shape: tuple[int, ...]
    axes: tuple[str | None, ...]
    init: Init = fan_in
    dtype: str = "float32"


def is_spec(node: Any) -> bool:
    return isinstance(node, Spec)


def repeat(specs: Any, repeats: int) -> Any:
    """The same specs with a leading axis `repeat` of the given size."""

    def stack(spec: Spec) -> Spec:
        init = lambda key, shape: jax.vmap(lambda k: spec.init(k, shape[1:]))(  # noqa: E731
            jax.random.split(key, shape[0])
        )
        shape = (repeats, *spec.shape)
        return Spec(shape, ("repeat", *spec.axes), init, spec.dtype)

    return jax.tree.map(stack, specs, is_leaf=is_spec)


def initialise(specs: Any, key: jax.Array) -> Params:
    """Arrays for a tree of specs. Each leaf's key depends on its own path alone."""

    def leaf(path, spec: Spec) -> jax.Array:
        name = jax.tree_util.keystr(path)
        digest = sum(ord(c) * 31**i for i, c in enumerate(name)) % (2**31)
        value = spec.init(jax.random.fold_in(key, digest), spec.shape)
        return value.astype(spec.dtype)

    return jax.tree_util.tree_map_with_path(leaf, specs, is_leaf=is_spec)


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
