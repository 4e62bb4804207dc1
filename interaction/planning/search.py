"""The legal meshes of a topology, ranked by an estimate that needs no compiler.

What a step would send is counted from the parameters' shapes, and times are those of
`traffic`; the compiled program of the best has the last word.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, Mesh

from interaction import model, pod
from interaction.chips import Chip, chip_of
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.ops.dispatch import SLACK
from interaction.parallel.mesh import AXES, ROWS, TABLE
from interaction.parallel.placement import held_bytes
from interaction.parallel.sharding import partition
from interaction.params import Spec, flatten
from interaction.planning.roofline import Roofline
from interaction.planning.serving import RUNS
from interaction.planning.traffic import Torus
from interaction.train import average, muon
from interaction.train.guard import rules

EXCHANGES = 5  # of experts' rows in a layer: there, back; there, gradients there, back

MARGIN = {"train": 0.95, "serve": 1.0}
"""Of a device's memory: what an estimate may fill of it."""


class Candidate(NamedTuple):
    """bytes: of a chip, about; seconds: of a step or a micro-turn, nothing overlapping."""

    sizes: dict[str, int]
    bytes: float
    fits: bool
    seconds: float
    limit: str


def legal(
    cfg: ModelConfig, devices: int, slices: int, rows: int, mode: str = "train"
) -> Iterator[dict[str, int]]:
    """Meshes of so many devices that divide the model and `rows` rows or sessions. To
    serve, none that would gather parameters at every position."""
    halves = [1 << i for i in range(devices.bit_length())]
    named = flatten(model.specs(cfg))
    for expert, tensor, fsdp in itertools.product(halves, repeat=3):
        data, rest = divmod(devices, expert * tensor * fsdp)
        if rest or not data or data % slices or rows % (data * expert * fsdp):
            continue
        if mode == "serve" and fsdp > 1:
            continue
        if cfg.tensor_shards % tensor or cfg.experts % (expert * tensor):
            continue
        sizes = dict(zip(AXES, (data, fsdp, expert, tensor), strict=True))
        try:
            for name, spec in named.items():
                partition(name, spec, _Shape(sizes))  # type: ignore[arg-type]
        except InputError:
            continue
        yield sizes


class _Shape(NamedTuple):
    """All that `partition` asks of a mesh."""

    shape: dict[str, int]


def ranked(
    config: Any, cfg: ModelConfig, mode: str, topology: str, slices: int, slots: int
) -> list[Candidate]:
    """Fitting ones first, fastest first. Raises InputError when none is legal."""
    chip = chip_of(topology)
    devices = len(pod.pod_devices(topology, slices))
    rows = config.train.batch if mode == "train" else slots
    found = []
    for sizes in legal(cfg, devices, slices, rows, mode):
        mesh = pod.pod_mesh(topology, sizes, slices)
        if mode == "train":
            found.append(_training(config, cfg, chip, mesh))
        else:
            found.append(_serving(cfg, chip, mesh, slots))
    if not found:
        raise InputError(
            f"{rows} rows on {devices} devices of {topology}: no mesh divides them and the "
            "model; change the batch, --slots or the topology"
        )
    return sorted(found, key=lambda c: (not c.fits, c.seconds))


def _parts(
    train: Any, cfg: ModelConfig, sizes: Mapping[str, int]
) -> tuple[float, float, float, float]:
    """On a device: parameters as kept, bytes of their moments, parameters of the layers
    when gathered over `fsdp`, of the largest layer's."""
    first = jnp.dtype(train.get("moments_dtype", "float32")).itemsize
    matrices = muon.names(cfg) if train.get("muon") else frozenset[str]()
    kept = moments = layers = 0.0
    each: dict[str, float] = {}
    for name, spec in flatten(model.specs(cfg)).items():
        n = math.prod(spec.shape)
        divided = _divided(spec)
        n /= math.prod(sizes[axis] for axis in divided)
        kept += n
        each_has = first if name in matrices else first + 4  # second moments are float32
        moments += each_has * (n if "expert" in divided else n / sizes["expert"])
        if name.startswith("layers"):
            whole = n * (sizes["fsdp"] if "fsdp" in divided else 1)
            layers += whole
            of = name.split(".")[1:3]
            each[".".join(of)] = each.get(".".join(of), 0) + whole / spec.shape[0]
    return kept, moments, layers, max(each.values())


def _divided(spec: Spec) -> set[str]:
    return {axis for logical in spec.axes for axis in TABLE[logical]}


def _group(mesh: Mesh, axes: tuple[str, ...]) -> list[int]:
    ids = np.arange(mesh.size).reshape(mesh.devices.shape)
    at = tuple(slice(None) if name in axes else 0 for name in mesh.axis_names)
    return ids[at].reshape(-1).tolist()


def _training(config: Any, cfg: ModelConfig, chip: Chip, mesh: Mesh) -> Candidate:
    from interaction.planning.training import projected, step_flops

    sizes, t = dict(mesh.shape), config.train
    kept, _, layers, _ = _parts(t, cfg, sizes)
    positions = t.batch * config.data.positions / math.prod(sizes[a] for a in ROWS)
    passes = 2 if t.remat else 1
    pairs = positions * cfg.experts_per_token / sizes["tensor"] * SLACK
    width, sparse = cfg.width, sum(not kind.is_dense for kind in cfg.layer_kinds)
    torus, links = Torus(mesh, chip), dict[str, float]()
    for axis, kind, size, times in (
        ("fsdp", "all-gather", 2 * layers, passes),
        ("fsdp", "reduce-scatter", 2 * layers, 1),
        ("expert", "all-to-all", 2 * pairs * width, EXCHANGES * sparse),
        ("tensor", "all-reduce", 4 * positions * width, 6 * cfg.layers),
        ("data", "all-reduce", 4 * kept, 1),
    ):
        if sizes[axis] > 1:
            seconds = times * torus.cost(kind, size, _group(mesh, (axis,)))[1]
            links[axis] = links.get(axis, 0.0) + seconds
    flops = step_flops(config, cfg, sizes)
    line = Roofline(flops["done"] * chip.devices / mesh.size / chip.flops, 0.0, links)
    seconds = projected(config, chip, line, flops["needed"], mesh.size)["apart"]["step_s"]
    total, budget = training_bytes(config, cfg, sizes, t.batch), _budget(chip)
    fits = total < MARGIN["train"] * budget
    return Candidate(sizes, total, fits, seconds, line.limit())


def training_bytes(
    config: Any, cfg: ModelConfig, sizes: Mapping[str, int], batch: int
) -> float:
    """Of a device, about, in a step of `batch` rows."""
    kept, moments, _, largest = _parts(config.train, cfg, sizes)
    positions = batch * config.data.positions / math.prod(sizes[a] for a in ROWS)
    pairs = positions * cfg.experts_per_token / sizes["tensor"] * SLACK
    # What is held and gradients; a layer's weights twice and their gradients; what layers
    # keep; inside a layer, rows of experts in both directions.
    total = state_bytes(config.train, cfg, sizes) + 4 * kept + 8 * largest
    if rules(config.train).spike:  # a second state, until the loss is known
        total += 4 * kept + moments
    return (
        total + positions * cfg.width * 2 * (2 * cfg.layers + 20) + pairs * cfg.width * 12
    )


def state_bytes(train: Any, cfg: ModelConfig, sizes: Mapping[str, int]) -> float:
    """Of a device: parameters, moments, and the parameters' average if one is kept."""
    kept, moments, _, _ = _parts(train, cfg, sizes)
    return (8 if average.decay(train) else 4) * kept + moments


def _serving(cfg: ModelConfig, chip: Chip, mesh: Mesh, slots: int) -> Candidate:
    sizes = dict(mesh.shape)
    held, total = served_bytes(cfg, sizes, slots), serving_bytes(cfg, sizes, slots)
    torus, links = Torus(mesh, chip), dict[str, float]()
    rows = slots / math.prod(sizes[a] for a in ROWS)
    for axis, kind, size, times in (
        ("tensor", "all-reduce", 4 * rows * cfg.width, 2 * cfg.layers),
        ("expert", "all-to-all", 2 * rows * cfg.experts_per_token * cfg.width, cfg.layers),
    ):
        if sizes[axis] > 1:
            one = torus.cost(kind, size, _group(mesh, (axis,)))[1]
            links[axis] = sum(RUNS.values()) * times * one
    line = Roofline(0.0, sum(RUNS.values()) * held / chip.hbm, links)
    fits = total < MARGIN["serve"] * _budget(chip)
    return Candidate(sizes, total, fits, line.apart_s, line.limit())


def serving_bytes(cfg: ModelConfig, sizes: Mapping[str, int], slots: int) -> float:
    """Of a device, about, that serves its part of so many sessions."""
    return 1.1 * served_bytes(cfg, sizes, slots)


def served_bytes(cfg: ModelConfig, sizes: Mapping[str, int], slots: int) -> int:
    """Of a device: parameters and sessions."""
    mesh: Any = AbstractMesh(tuple(sizes[axis] for axis in AXES), AXES)
    given = pod.describe_turn(cfg, mesh, slots)
    return held_bytes(given.params) + held_bytes(given.state)


def _budget(chip: Chip) -> float:
    return chip.hbm_bytes / chip.devices
