"""Programs compiled for a pod that is not here: ahead of time, from shapes alone.

Needs `libtpu` (the extra `tpu` or `dev`), and no TPU.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from interaction import model, step
from interaction.blocks import TurnInput, pack_turn
from interaction.config import ModelConfig
from interaction.data.pack import Shape, shapes
from interaction.errors import InputError
from interaction.modality import waveform
from interaction.modality.audio import MELS
from interaction.parallel.mesh import make_mesh
from interaction.parallel.placement import BY_ROW, EVERYWHERE, of_params
from interaction.params import abstract
from interaction.train.losses import loss_weights
from interaction.train.optimiser import optimiser
from interaction.train.state import create, train_step
from interaction.train.state import partitions as state_partitions


def pod_mesh(topology: str, sizes: Mapping[str, int]) -> Mesh:
    """A mesh of the first devices of a topology such as `v5p:2x2x2`. Raises InputError
    when the topology is unknown or too small."""
    try:
        devices = topologies.get_topology_desc(topology, platform="tpu").devices
    except (RuntimeError, ValueError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"topology {topology}: {reason}; write a name as v5p:2x2x1 or v6e:2x4, and "
            "install libtpu: pip install 'interaction[tpu]'"
        ) from None
    n = math.prod(sizes.values())
    if n > len(devices):
        raise InputError(f"topology {topology} has {len(devices)} devices; mesh asks {n}")
    return make_mesh(**sizes, devices=devices[:n])


def on(mesh: Mesh, tree: Any, specs: Any) -> Any:
    """Shapes and dtypes of arrays that live where `specs`, a prefix of the tree, says."""
    is_one = lambda x: isinstance(x, PartitionSpec)  # noqa: E731

    def place(spec: PartitionSpec, part: Any) -> Any:
        at = NamedSharding(mesh, spec)
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=at), part
        )

    return jax.tree.map(place, specs, tree, is_leaf=is_one)


def compile_training(
    config: Any, cfg: ModelConfig, mesh: Mesh
) -> dict[str, jax.stages.Compiled]:
    """The training step of a config file: name -> compiled."""
    t, tx = config.train, optimiser(config.train)
    state = jax.eval_shape(functools.partial(create, cfg, tx, 0))
    state = on(mesh, state, state_partitions(state, cfg, mesh))
    sizes = Shape(config.data.positions, config.data.patches, config.data.audio_out)
    rows = {
        name: jax.ShapeDtypeStruct((t.batch, *shape), dtype)
        for name, (shape, dtype) in shapes(cfg, sizes, config.data.turns).items()
    }
    key = on(mesh, jax.eval_shape(jax.random.key, 0), EVERYWHERE)
    step = train_step.lower(
        state, on(mesh, rows, BY_ROW), key, t.bias_rate, t.clip, cfg=cfg, tx=tx,
        weights=loss_weights(t), remat=t.remat, batch_shards=t.batch_shards, mesh=mesh,
    )  # fmt: skip
    return {"train": step.compile()}


def compile_turn(
    cfg: ModelConfig, mesh: Mesh, slots: int
) -> dict[str, jax.stages.Compiled]:
    """The two programs of a micro-turn: name -> compiled."""
    params = on(mesh, abstract(model.specs(cfg)), of_params(cfg, mesh))
    wave = on(mesh, jax.eval_shape(waveform.init, jax.random.key(0)), EVERYWHERE)
    state = jax.eval_shape(
        functools.partial(step._empty_state, cfg, slots, np.zeros(slots, int))
    )
    state = on(mesh, state, step.partitions(state))
    shape = (cfg.patches_per_frame, cfg.patch_frames, cfg.patch, cfg.patch, 3)
    turn = TurnInput(np.zeros((4, MELS), np.uint8), np.zeros(shape, np.float32))
    block = on(mesh, pack_turn(cfg, [turn] * slots), BY_ROW)
    live = on(mesh, jax.ShapeDtypeStruct((slots,), bool), BY_ROW)
    warmth = on(mesh, jax.ShapeDtypeStruct((slots,), jnp.float32), BY_ROW)
    ingest = step.ingest.lower(params, state, block, cfg=cfg, mesh=mesh)
    emit = step.emit.lower(params, wave, state, live, warmth, cfg=cfg, mesh=mesh)
    return {"ingest": ingest.compile(), "emit": emit.compile()}
