"""Where every parameter lives on a mesh."""

from __future__ import annotations

import math

from jax.sharding import Mesh, NamedSharding, PartitionSpec

from interaction import model
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.parallel.mesh import TABLE
from interaction.params import Spec, flatten


def partition(name: str, spec: Spec, mesh: Mesh) -> PartitionSpec:
    """Raises InputError where a mesh axis does not divide what it should divide."""
    axes = [TABLE[axis] for axis in spec.axes]
    used = [axis for group in axes for axis in group]
    if len(used) != len(set(used)):
        raise ValueError(f"{name}: mesh axis twice in {spec.axes}")
    for size, logical, group in zip(spec.shape, spec.axes, axes, strict=True):
        devices = math.prod(mesh.shape[axis] for axis in group)
        if size % devices:
            raise InputError(
                f"mesh axis {' x '.join(group)}={devices} does not divide {name}, whose "
                f"{logical} is {size}; make it a divisor of that"
            )
    return PartitionSpec(*(group or None for group in axes))


def shardings(cfg: ModelConfig, mesh: Mesh) -> dict[str, NamedSharding]:
    """Every parameter's sharding, by its name in memory."""
    return {
        name: NamedSharding(mesh, partition(name, spec, mesh))
        for name, spec in flatten(model.specs(cfg)).items()
    }
