"""Programs compiled for a pod that is not here: ahead of time, from shapes alone.

Needs `libtpu` (the extra `tpu` or `dev`), and no TPU.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh

from interaction import model, step
from interaction.blocks import TurnInput, pack_turn
from interaction.config import ModelConfig
from interaction.data.pack import Shape, shapes
from interaction.errors import InputError
from interaction.modality import waveform
from interaction.modality.audio import MELS
from interaction.parallel.mesh import first_devices
from interaction.parallel.placement import (
    BY_ROW,
    EVERYWHERE,
    check_rows,
    described,
    of_params,
)
from interaction.params import Params, abstract
from interaction.state import State, empty_state, partitions
from interaction.train.guard import limited_step
from interaction.train.losses import loss_weights
from interaction.train.optimiser import optimiser
from interaction.train.state import TrainState, described_state, train_step

QUICK: dict[str, Any] = {"exec_time_optimization_effort": -1.0}
"""Options of a compiler that shall say soon whether a program compiles and fits, and what
it sends; several times sooner. The code it makes of each operation is not its best."""


def pod_devices(topology: str, slices: int = 1) -> list[Any]:
    """Of one or several slices such as `v5p:2x2x2`. Raises InputError."""
    # Nothing here touches a TPU: a program that does may run beside it.
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    if os.environ.get("JAX_PLATFORMS") == "cpu":  # or it complains of having no TPU
        os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
        os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5p-8")
    try:
        return list(
            topologies.get_topology_desc(
                topology, platform="tpu", num_slices=slices
            ).devices
        )
    except (RuntimeError, ValueError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"topology {topology}: {reason}; write a name as v5p:2x2x1 or v6e:2x4, and "
            "install libtpu: pip install 'interaction[tpu]'"
        ) from None


def pod_mesh(topology: str, sizes: Mapping[str, int], slices: int = 1) -> Mesh:
    """A mesh of the first devices. Raises InputError when there are too few, or no such
    topology."""
    try:
        return first_devices(sizes, pod_devices(topology, slices))
    except InputError as error:
        text = str(error)
        where = "" if text.startswith("topology") else f"topology {topology}: "
        raise InputError(where + text) from None


class Training(NamedTuple):
    """What `train_step` takes, described."""

    state: TrainState
    rows: dict[str, jax.ShapeDtypeStruct]
    key: jax.ShapeDtypeStruct


def describe_rows(
    config: Any, cfg: ModelConfig, rows: int
) -> dict[str, jax.ShapeDtypeStruct]:
    """So many rows of a config file's data."""
    d = config.data
    sizes = Shape(d.positions, d.patches, d.audio_out)
    return {
        name: jax.ShapeDtypeStruct((rows, *shape), dtype)
        for name, (shape, dtype) in shapes(cfg, sizes, d.turns).items()
    }


def describe_training(config: Any, cfg: ModelConfig, mesh: Mesh) -> Training:
    """Of a config file, on a mesh."""
    check_rows(mesh, config.train.batch)
    return Training(
        described_state(cfg, optimiser(config.train, cfg, mesh), mesh),
        described(mesh, describe_rows(config, cfg, config.train.batch), BY_ROW),
        described(mesh, jax.eval_shape(jax.random.key, 0), EVERYWHERE),
    )


def compile_training(
    config: Any,
    cfg: ModelConfig,
    mesh: Mesh,
    given: Training | None = None,
    options: dict[str, Any] | None = None,
) -> jax.stages.Compiled:
    """The training step of a config file. options: of the compiler."""
    return trace_training(config, cfg, mesh, given).lower().compile(options)


def trace_training(
    config: Any, cfg: ModelConfig, mesh: Mesh, given: Training | None = None
) -> jax.stages.Traced:
    """The step that a run takes: with `train.spike`, `limited_step`."""
    t, given = config.train, given or describe_training(config, cfg, mesh)
    limit = (np.float32(np.inf),) if t.get("spike") else ()
    update: Any = limited_step if limit else train_step
    return update.trace(
        given.state, given.rows, given.key, *limit, t.bias_rate, t.clip, cfg=cfg,
        tx=optimiser(t, cfg, mesh), weights=loss_weights(t), remat=t.remat,
        batch_shards=t.batch_shards, mesh=mesh,
    )  # fmt: skip


class Serving(NamedTuple):
    """What the two programs of a micro-turn take, described."""

    params: Params
    wave: Any
    state: State
    block: Any
    live: jax.ShapeDtypeStruct
    warmth: jax.ShapeDtypeStruct


def describe_turn(cfg: ModelConfig, mesh: Mesh, slots: int) -> Serving:
    """Parameters in the compute dtype, as a server holds them."""
    params = jax.eval_shape(lambda p: model.cast(p, cfg), abstract(model.specs(cfg)))
    seeds = np.zeros(slots, int)
    check_rows(mesh, slots)
    state = jax.eval_shape(functools.partial(empty_state, cfg, slots, seeds))
    shape = (cfg.patches_per_frame, cfg.patch_frames, cfg.patch, cfg.patch, 3)
    turn = TurnInput(np.zeros((4, MELS), np.uint8), np.zeros(shape, np.float32))
    by_slot = lambda dtype: jax.ShapeDtypeStruct((slots,), dtype)  # noqa: E731
    return Serving(
        described(mesh, params, of_params(cfg, mesh)),
        described(mesh, jax.eval_shape(waveform.init, jax.random.key(0)), EVERYWHERE),
        described(mesh, state, partitions(state)),
        described(mesh, pack_turn(cfg, [turn] * slots), BY_ROW),
        described(mesh, by_slot(jnp.bool_), BY_ROW),
        described(mesh, by_slot(jnp.float32), BY_ROW),
    )


def compile_turn(
    cfg: ModelConfig,
    mesh: Mesh,
    slots: int,
    given: Serving | None = None,
    options: dict[str, Any] | None = None,
) -> dict[str, jax.stages.Compiled]:
    """The two programs of a micro-turn: name -> compiled. options: of the compiler."""
    g = given or describe_turn(cfg, mesh, slots)
    ingest = step.ingest.lower(g.params, g.state, g.block, cfg=cfg, mesh=mesh)
    emit = step.emit.lower(g.params, g.wave, g.state, g.live, g.warmth, cfg=cfg, mesh=mesh)
    return {"ingest": ingest.compile(options), "emit": emit.compile(options)}
