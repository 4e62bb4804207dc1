"""The device mesh: four axes, in the order of how much they talk, least first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh

from interaction.config import ModelConfig
from interaction.errors import InputError

AXES = ("data", "fsdp", "expert", "tensor")
"""data: copies of the parameters, and whole slices; fsdp: their rows, gathered for use;
expert: whole experts, which rows are sent to; tensor: heads, hidden units, rows of the
vocabulary, and experts too, each on rows that all of its devices have."""

ROWS = ("data", "expert", "fsdp")
"""Axes that divide sessions and the rows of a batch."""

TABLE: dict[str | None, tuple[str, ...]] = {
    "embed": ("fsdp",),  # and the flow head's own width
    "vocab": ("tensor",),
    "heads": ("tensor",),
    "kv_heads": ("tensor",),
    "mlp": ("tensor",),
    "expert": ("tensor", "expert"),
    "repeat": (),
    None: (),
}
"""The one table from what an axis of a parameter means to the mesh axes that divide it."""


def row_devices(mesh: Mesh | None) -> int:
    """Devices that sessions, or the rows of a batch, are divided over."""
    return math.prod(mesh.shape[axis] for axis in ROWS) if mesh else 1


def mesh_sizes(text: str) -> dict[str, int]:
    """`fsdp=2,tensor=4` -> the size of each axis named. Raises InputError."""
    try:
        sizes = {name: int(n) for name, n in (part.split("=") for part in text.split(","))}
    except ValueError:
        sizes = {}
    if not sizes or not sizes.keys() <= set(AXES) or min(sizes.values()) < 1:
        raise InputError(f"mesh {text}: write axis=devices,…; axes are {', '.join(AXES)}")
    return sizes


def title(sizes: Mapping[str, int]) -> str:
    """`{"fsdp": 2, "tensor": 4, "data": 1}` -> `fsdp=2 tensor=4`."""
    return " ".join(f"{axis}={n}" for axis, n in sizes.items() if n > 1)


def virtual_devices(n: int) -> None:
    """Before JAX starts: where it runs on the CPU, let that be so many devices. One
    device is always there, and more that a user asked JAX for do no harm."""
    if n > 1:
        jax.config.update("jax_num_cpu_devices", n)


def first_devices(
    sizes: Mapping[str, int], devices: Sequence[jax.Device] | None = None
) -> Mesh:
    """A mesh of as many of the devices (default: all of this run) as it takes."""
    devices, n = devices or jax.devices(), math.prod(sizes.values())
    if n > len(devices):
        raise InputError(f"mesh of {n} devices, where there are {len(devices)}")
    return make_mesh(**sizes, devices=devices[:n])


def default_mesh(cfg: ModelConfig) -> Mesh:
    """All devices: as many as divide the experts hold some of them each, the rest rows."""
    n = len(jax.devices())
    expert = math.gcd(n, cfg.experts)
    return make_mesh(fsdp=n // expert, expert=expert)


def _arranged(sizes: tuple[int, ...], devices: Sequence[jax.Device]) -> np.ndarray:
    """Devices in a grid, so that axes lie along the dimensions of a TPU's torus, and
    `data` across slices."""
    if devices[0].platform != "tpu" or len(devices) == 1:
        return np.array(devices).reshape(sizes)
    slices = len({getattr(device, "slice_index", 0) for device in devices})
    if slices == 1:
        return mesh_utils.create_device_mesh(sizes, devices, allow_split_physical_axes=True)
    if sizes[0] % slices:
        raise InputError(
            f"mesh axis data={sizes[0]} over {slices} slices; make it a multiple of them"
        )
    within, across = (sizes[0] // slices, *sizes[1:]), (slices, 1, 1, 1)
    return mesh_utils.create_hybrid_device_mesh(
        within, across, devices, allow_split_physical_axes=True
    )


def make_mesh(
    data: int = 1,
    fsdp: int = 1,
    expert: int = 1,
    tensor: int = 1,
    devices: Sequence[jax.Device] | None = None,
) -> Mesh:
    """Raises InputError when the sizes do not multiply to the number of devices."""
    sizes = (data, fsdp, expert, tensor)
    devices = jax.devices() if devices is None else list(devices)
    if math.prod(sizes) != len(devices) or min(sizes) < 1:
        text = " x ".join(f"{name}={n}" for name, n in zip(AXES, sizes, strict=True))
        raise InputError(f"mesh {text}: {len(devices)} devices; make the product that")
    return Mesh(_arranged(sizes, devices), AXES, axis_types=(AxisType.Auto,) * len(AXES))
