"""Programs that run on every device of a mesh, each on its part of the arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from interaction import model
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.parallel.mesh import ROWS, row_devices
from interaction.parallel.sharding import divided_over, partition, shortest
from interaction.params import Params, Spec, flatten, is_spec, unflatten_like

BY_ROW = PartitionSpec(ROWS)  # sessions or rows of a batch, first axis
EVERYWHERE = PartitionSpec()


def of_params(cfg: ModelConfig, mesh: Mesh | None) -> Any:
    """Partition of every parameter, in their tree; None without a mesh."""
    if mesh is None:
        return None
    specs = model.specs(cfg)
    flat = {name: partition(name, spec, mesh) for name, spec in flatten(specs).items()}
    return unflatten_like(specs, flat)


def of_moments(cfg: ModelConfig, mesh: Mesh) -> Any:
    """Partition of what an optimiser keeps of every parameter: as the parameter, and also
    over `expert`, where that leaves it whole and divides it."""
    n = mesh.shape["expert"]

    def more(spec: Spec, at: PartitionSpec) -> PartitionSpec:
        axes = [divided_over(axis, mesh) for axis in spec.axes]
        if n == 1 or any("expert" in group for group in axes):
            return at
        for dim, (size, group) in enumerate(zip(spec.shape, axes, strict=True)):
            if size % (n * math.prod(mesh.shape[axis] for axis in group)) == 0:
                return shortest([*axes[:dim], (*group, "expert"), *axes[dim + 1 :]])
        return at

    return jax.tree.map(more, model.specs(cfg), of_params(cfg, mesh), is_leaf=is_spec)


def over(mesh: Mesh | None, f: Callable, ins: Any, outs: Any) -> Callable:
    """f, run by every device of the mesh on its part; without a mesh, f itself.

    ins, outs: partitions of its arguments and results. Collectives in f keep what is
    replicated alike; nothing checks it.
    """
    if mesh is None:
        return f
    return jax.shard_map(f, mesh=mesh, in_specs=ins, out_specs=outs, check_vma=False)


def shardings(mesh: Mesh, specs: Any) -> Any:
    """Partitions on this mesh."""
    is_one = lambda x: isinstance(x, PartitionSpec)  # noqa: E731
    return jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs, is_leaf=is_one)


def place(mesh: Mesh | None, tree: Any, specs: Any) -> Any:
    """Arrays moved to where the mesh wants them."""
    return tree if mesh is None else jax.device_put(tree, shardings(mesh, specs))


def kept(mesh: Mesh | None, tree: Any, specs: Any) -> Any:
    """Inside a program: arrays that stay where the mesh wants them."""
    if mesh is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, shardings(mesh, specs))


def described(mesh: Mesh, tree: Any, specs: Any) -> Any:
    """Shapes and dtypes of arrays that live where `specs`, a prefix of the tree, says."""
    describe = lambda at, part: jax.tree.map(  # noqa: E731
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=at), part
    )
    return jax.tree.map(describe, shardings(mesh, specs), tree)


def held_bytes(tree: Any) -> int:
    """Of described arrays, on the device that has most of them."""
    total = 0
    for x in jax.tree.leaves(tree):
        shape = x.sharding.shard_shape(x.shape) if x.sharding else x.shape
        total += math.prod(shape) * _width(x.dtype)
    return total


def _width(dtype: Any) -> int:
    return getattr(dtype, "itemsize", 4)


def place_params(params: Params, cfg: ModelConfig, mesh: Mesh | None) -> Params:
    return place(mesh, params, of_params(cfg, mesh))


def check_rows(mesh: Mesh | None, rows: int) -> None:
    """Raises InputError when the mesh does not divide sessions or rows of a batch."""
    devices = row_devices(mesh)
    if rows % devices:
        raise InputError(
            f"{rows} rows on {' x '.join(ROWS)} = {devices} devices; use a multiple"
        )
