"""Where every parameter lives on a mesh."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jax.sharding import Mesh, NamedSharding, PartitionSpec

from interaction import model
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.parallel.mesh import TABLE
from interaction.params import Spec, flatten


def divided_over(axis: str | None, mesh: Mesh) -> tuple[str, ...]:
    """Mesh axes that divide an axis of this meaning."""
    return tuple(a for a in TABLE[axis] if mesh.shape[a] > 1)


def shortest(axes: Sequence[tuple[str, ...]]) -> PartitionSpec:
    """The mesh axes that divide each axis."""
    last = max((i + 1 for i, group in enumerate(axes) if group), default=0)
    return PartitionSpec(*(group or None for group in axes[:last]))


def partition(name: str, spec: Spec, mesh: Mesh) -> PartitionSpec:
    """Said as JAX says it of a program's results, without mesh axes of one device or axes
    left whole at the end: arrays that are made, read or updated have one program. Raises
    InputError where a mesh axis does not divide what it should divide."""
    used = [a for axis in spec.axes for a in TABLE[axis]]
    if len(used) != len(set(used)):
        raise ValueError(f"{name}: mesh axis twice in {spec.axes}")
    axes = [divided_over(axis, mesh) for axis in spec.axes]
    for size, logical, group in zip(spec.shape, spec.axes, axes, strict=True):
        devices = math.prod(mesh.shape[axis] for axis in group)
        if size % devices:
            raise InputError(
                f"mesh axis {' x '.join(group)}={devices} does not divide {name}, whose "
                f"{logical} is {size}; make it a divisor of that"
            )
    return shortest(axes)


def shardings(cfg: ModelConfig, mesh: Mesh) -> dict[str, NamedSharding]:
    """Every parameter's sharding, by its name in memory."""
    return {
        name: NamedSharding(mesh, partition(name, spec, mesh))
        for name, spec in flatten(model.specs(cfg)).items()
    }
