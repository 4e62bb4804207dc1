"""Programs that run on every device of a mesh, each on its part of the arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from interaction import model
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.parallel.mesh import ROWS, row_devices
from interaction.parallel.sharding import partition
from interaction.params import Params, flatten, unflatten_like

BY_ROW = PartitionSpec(ROWS)  # sessions or rows of a batch, first axis
EVERYWHERE = PartitionSpec()


def of_params(cfg: ModelConfig, mesh: Mesh | None) -> Any:
    """Partition of every parameter, in their tree; None without a mesh."""
    if mesh is None:
        return None
    specs = model.specs(cfg)
    flat = {name: partition(name, spec, mesh) for name, spec in flatten(specs).items()}
    return unflatten_like(specs, flat)


def over(mesh: Mesh | None, f: Callable, ins: Any, outs: Any) -> Callable:
    """f, run by every device of the mesh on its part; without a mesh, f itself.

    ins, outs: partitions of its arguments and results. Collectives in f keep what is
    replicated alike; nothing checks it.
    """
    if mesh is None:
        return f
    return jax.shard_map(f, mesh=mesh, in_specs=ins, out_specs=outs, check_vma=False)


def place(mesh: Mesh | None, tree: Any, specs: Any) -> Any:
    """Arrays moved to where the mesh wants them."""
    if mesh is None:
        return tree
    is_one = lambda x: isinstance(x, PartitionSpec)  # noqa: E731
    at = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs, is_leaf=is_one)
    return jax.device_put(tree, at)


def place_params(params: Params, cfg: ModelConfig, mesh: Mesh | None) -> Params:
    return place(mesh, params, of_params(cfg, mesh))


def check_rows(mesh: Mesh | None, rows: int) -> None:
    """Raises InputError when the mesh does not divide sessions or rows of a batch."""
    devices = row_devices(mesh)
    if rows % devices:
        raise InputError(
            f"{rows} rows on data x fsdp = {devices} devices; use a multiple of that"
        )
