"""Gradients of a training step, on any mesh."""

from __future__ import annotations

import functools

import jax
import numpy as np
from jax.sharding import Mesh

from interaction.grammar import Kind
from interaction.parallel.mesh import make_mesh
from interaction.parallel.placement import place_params
from interaction.params import flatten
from interaction.parity.bits import Found
from interaction.parity.subject import Subject
from interaction.score import Batch
from interaction.train.losses import Weights
from interaction.train.state import batch_gradients

WEIGHTS = Weights(
    flow=1.0, heard=1.0, control=1.0, z=1e-4, draws=2, voice_rows=64, t_mean=0.0,
    previous_drop=0.5, hidden_drop=0.1,
)  # fmt: skip


def gradients(subject: Subject, batch: Batch, mesh: Mesh | None, leaves: int) -> Found:
    """Of a training step on the recorded sessions, by parameter."""
    cfg, params, block = subject.cfg, subject.params, batch.block
    mesh = mesh or make_mesh(devices=jax.devices()[:1])
    n_voice = (np.asarray(block.kind) == Kind.AUDIO_OUT).sum(1)[:, None]
    spoken = np.arange(block.voice.shape[1]) < n_voice
    heard = np.asarray(block.token)[:, :1] % cfg.vocab_used + 0 * block.dmel[..., 0]
    rows = {
        "kind": block.kind, "token": block.token, "index": block.row,
        "n_valid": block.n_valid, "dmel": block.dmel, "patches": block.patches,
        "heard": heard.astype(np.int32), "voice": block.voice,
        "voice_at": np.where(spoken, batch.drawn.at, -1).astype(np.int32),
        "voice_first": ~np.asarray(batch.drawn.previous).any(-1),
    }  # fmt: skip
    run = functools.partial(
        batch_gradients, cfg=cfg, weights=WEIGHTS, leaves=leaves, remat=False, mesh=mesh
    )
    params = place_params(params, cfg, mesh)
    grads, metrics, norm = jax.jit(run)(params, rows, jax.random.key(3))
    found = {"loss": metrics["loss"], "gradient norm": norm}
    return jax.device_get(
        found | {f"gradient of {k}": v for k, v in flatten(grads).items()}
    )
