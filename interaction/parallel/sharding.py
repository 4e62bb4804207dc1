"""One table from what an axis of a parameter means to the mesh axis that divides it."""

from __future__ import annotations

from jax.sharding import Mesh, NamedSharding, PartitionSpec

from interaction import model
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.params import Spec, flatten

TABLE: dict[str | None, str | None] = {
    "embed": "fsdp",
    "vocab": "tensor",
    "heads": "tensor",
    "kv_heads": "tensor",
    "mlp": "tensor",
    "expert": "expert",
    "conv": None,
    "repeat": None,
    None: None,
}


def partition(name: str, spec: Spec, mesh: Mesh) -> PartitionSpec:
    """Raises InputError where a mesh axis does not divide what it should divide."""
    axes = [TABLE[axis] for axis in spec.axes]
    used = [axis for axis in axes if axis]
    if len(used) != len(set(used)):
        raise ValueError(f"{name}: mesh axis twice in {spec.axes}")
    for size, logical, axis in zip(spec.shape, spec.axes, axes, strict=True):
        if axis and size % mesh.shape[axis]:
            raise InputError(
                f"mesh axis {axis}={mesh.shape[axis]} does not divide {name}, whose "
                f"{logical} is {size}; make {axis} a divisor of it"
            )
    return PartitionSpec(*axes)


def shardings(cfg: ModelConfig, mesh: Mesh) -> dict[str, NamedSharding]:
    """Every parameter's sharding, by its name in memory."""
    return {
        name: NamedSharding(mesh, partition(name, spec, mesh))
        for name, spec in flatten(model.specs(cfg)).items()
    }
