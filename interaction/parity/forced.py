"""Teacher-forced: everything that one forward computes, stage by stage."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from interaction import model
from interaction.cache import empty_cache
from interaction.config import ModelConfig
from interaction.grammar import Kind
from interaction.layers import flow
from interaction.model import Block
from interaction.parallel.placement import BY_ROW, of_params, over, place
from interaction.params import Params
from interaction.parity.bits import Found
from interaction.parity.subject import Subject
from interaction.score import Choices, Draws


class Batch(NamedTuple):
    """Records side by side, and where their voices were drawn [B, O]."""

    block: Block
    chosen: Choices
    drawn: Draws
    seeds: np.ndarray


def stages(subject: Subject, batch: Batch, mesh: Mesh | None = None) -> Found:
    """Everything a teacher-forced forward computes, in order: each layer's stages,
    logits, flow velocities. [B, T, ...] each."""
    cfg, params = subject.cfg, subject.params
    if mesh is not None:
        params = place(mesh, params, of_params(cfg, mesh))
    return jax.device_get(_stages(params, batch, cfg=cfg, mesh=mesh))


@functools.partial(jax.jit, static_argnames=("cfg", "mesh"))
def _stages(params, batch: Batch, *, cfg: ModelConfig, mesh: Mesh | None):
    def run(params: Params, block: Block, at: jax.Array) -> dict[str, jax.Array]:
        params = model.whole(params, cfg)
        out = model.forward(params, cfg, block, capture=True)
        B, T = block.kind.shape
        found = _named(params, cfg, block, out, B, T)
        before = jnp.take_along_axis(out.hidden, at[..., None] - 1, axis=1)
        x = jnp.asarray(block.voice)
        cond = flow.condition(params["flow"], cfg, before, x)
        t = jnp.full(x.shape[:-1], 0.5)
        return found | {"flow velocity": flow.velocity(params["flow"], cfg, cond, t, x)}

    ins = (of_params(cfg, mesh) if mesh else None, BY_ROW, BY_ROW)
    return over(mesh, run, ins, BY_ROW)(params, batch.block, batch.drawn.at)


def _named(params, cfg, block, out: model.Output, B: int, T: int) -> dict[str, jax.Array]:
    found = {"embedding": model.embed_block(params, cfg, block)}
    for i, layer in enumerate(out.captures or ()):
        for name, x in layer.items():
            if name == "routing":
                parts = x._asdict() if x is not None else {}
                x_by = {f"routing {k.split('_')[0]}": v for k, v in parts.items()}
                x_by = {k: v.reshape(B, T, -1) for k, v in x_by.items()}
            else:
                x_by = {name: x}
            found |= {f"layer {i} {k}": v for k, v in x_by.items()}
    found["final norm"] = out.hidden
    return found | {"logits": model.logits(params, cfg, out.hidden)}


def in_blocks(subject: Subject, block: Block, width: int, seed: int) -> Found:
    """`stages` but velocities, in ragged blocks of up to `width` through the cache."""
    cfg = subject.cfg
    B, T = block.kind.shape

    @jax.jit
    def run(params: Params, part: Block, cache: Any) -> tuple[Any, dict]:
        out = model.forward(params, cfg, part, cache, capture=True)
        return out.cache, _named(params, cfg, part, out, B, width)

    rng, at = np.random.default_rng(seed), np.zeros(B, int)
    found: Found = {}
    cache = empty_cache(cfg, B, max_block=width)
    while (at < block.n_valid).any():
        n = np.minimum(rng.integers(0, width + 1, B), block.n_valid - at)
        rows = np.minimum(at[:, None] + np.arange(width), T - 1)
        cut = {
            name: np.take_along_axis(np.asarray(getattr(block, name)), rows, 1)
            for name in ("kind", "token", "row")
        }
        part = block._replace(**cut, n_valid=n.astype(np.int32))
        cache, seen = run(subject.params, part, cache)
        for name, x in jax.device_get(seen).items():
            whole = found.setdefault(name, np.zeros((B, T, *x.shape[2:]), x.dtype))
            for b in range(B):
                whole[b, at[b] : at[b] + n[b]] = x[b, : n[b]]
        at += n
    return found


def valid(found: Found, batch: Batch, lengths: Sequence[int]) -> Found:
    """Without what lies behind the sessions' ends."""
    T, cut = batch.block.kind.shape[1], {}
    voices = [int((kind == Kind.AUDIO_OUT).sum()) for kind in batch.block.kind]
    for name, x in found.items():
        ends = lengths if x.shape[1] == T and "flow" not in name else voices
        cut[name] = np.concatenate([x[b, :n] for b, n in enumerate(ends)])
    return cut
