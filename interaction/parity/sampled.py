"""Sessions through the micro-turn, and what they emitted."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from interaction import step
from interaction.blocks import pack_turn
from interaction.config import ModelConfig
from interaction.parallel.placement import BY_ROW, place, place_params
from interaction.parity.bits import Found
from interaction.parity.subject import Subject, Talk
from interaction.record import Record, make
from interaction.state import empty_state


def converse(subject: Subject, talk: Talk, mesh: Mesh | None = None) -> list:
    """Run sessions through the micro-turn. -> (heard, frame) of every turn, on the host.
    All blocks are of the longer size, as a batch with a picture has it."""
    cfg, slots = subject.cfg, len(talk.seeds)
    params = place_params(subject.params, cfg, mesh)
    state = empty_state(cfg, slots, talk.seeds, mesh)
    temperature, out = np.ones(slots, np.float32), []
    for turns in talk.turns:
        block = pack_turn(cfg, turns)
        live = np.array([turn.live for turn in turns])
        if mesh is not None:
            block, live, temperature = place(
                mesh, (block, live, temperature), (BY_ROW,) * 3
            )
        state, heard = step.ingest(params, state, block, cfg=cfg, mesh=mesh)
        state, frame = step.emit(
            params, subject.wave, state, live, temperature, cfg=cfg, mesh=mesh
        )
        out.append(_on_host((heard, frame)))
    return out


def _on_host(tree: Any) -> Any:
    """Arrays of all processes, whole, on this one."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        return multihost_utils.process_allgather(tree, tiled=True)
    return jax.device_get(tree)


def emitted(out: list) -> Found:
    """What sessions emitted, by name: [turns, slots, ...] each."""
    stack = lambda get: np.stack([get(pair) for pair in out])  # noqa: E731
    return {
        "heard words": stack(lambda p: p[0].token),
        "heard probabilities": stack(lambda p: p[0].probability),
        "sampled kinds": stack(lambda p: p[1].kind),
        "sampled tokens": stack(lambda p: p[1].token),
        "log-probabilities": stack(lambda p: p[1].logp),
        "voice patches": stack(lambda p: p[1].patches),
        "waveform": stack(lambda p: p[1].audio),
    }


def records(cfg: ModelConfig, talk: Talk, out: list) -> list[Record]:
    """The sessions as they can be scored."""
    found = []
    for s, seed in enumerate(talk.seeds):
        live = [k for k, turns in enumerate(talk.turns) if turns[s].live]
        frames = [jax.tree.map(lambda x, s=s: x[s], out[k][1]) for k in live]
        found.append(make(cfg, [talk.turns[k][s] for k in live], frames, int(seed)))
    return found
