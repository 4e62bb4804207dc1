"""Recorded sessions, teacher-forced: everything that one forward computes, in order."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from interaction import model
from interaction.cache import Cache, empty_cache
from interaction.config import ModelConfig
from interaction.grammar import Kind
from interaction.layers import flow
from interaction.layers.moe import Routing
from interaction.model import Block, Output, Seen
from interaction.parallel.collectives import joined
from interaction.parallel.placement import BY_ROW, of_params, over, place_params
from interaction.params import Array, Params
from interaction.parity.bits import Found
from interaction.parity.subject import Subject
from interaction.score import Batch

BY_HEAD = ("queries", "keys", "values", "mixed")  # axis 2 is divided over `tensor`


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Stages:
    """Named arrays in order of computation, which a dict does not keep through `jit`."""

    names: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    arrays: tuple[jax.Array, ...]

    def found(self) -> Found:
        return dict(zip(self.names, jax.device_get(self.arrays), strict=True))


def stages(subject: Subject, batch: Batch, mesh: Mesh | None = None) -> Found:
    """Everything that a forward computes: each layer's stages, logits, flow velocities.
    [B, T, ...] each, velocities [B, O, ...]."""
    params = place_params(subject.params, subject.cfg, mesh)
    return _stages(params, batch, cfg=subject.cfg, mesh=mesh).found()


@functools.partial(jax.jit, static_argnames=("cfg", "mesh"))
def _stages(params: Params, batch: Batch, *, cfg: ModelConfig, mesh: Mesh | None):
    def run(params: Params, block: Block, at: jax.Array) -> _Stages:
        params = model.whole(params, cfg)
        out = model.forward(params, cfg, block, capture=True)
        named = dict(_named(params, cfg, block, out))
        before = jnp.take_along_axis(out.hidden, at[..., None] - 1, axis=1)
        x = jnp.asarray(block.voice)
        cond = flow.condition(params["flow"], cfg, before, x)
        t = jnp.full(x.shape[:-1], 0.5)
        named["flow velocity"] = flow.velocity(params["flow"], cfg, cond, t, x)
        return _Stages(tuple(named), tuple(named.values()))

    ins = (of_params(cfg, mesh), BY_ROW, BY_ROW)
    return over(mesh, run, ins, BY_ROW)(params, batch.block, batch.drawn.at)


def _named(
    params: Params, cfg: ModelConfig, block: Block, out: Output
) -> Iterator[tuple[str, jax.Array]]:
    yield "embedding", model.embed_block(params, cfg, block)
    for i, seen in enumerate(out.captures or ()):
        for name, x in _of_layer(seen, block.kind.shape):
            yield f"layer {i} {name.replace('_', ' ')}", x
    yield "final norm", out.hidden
    yield "logits", model.logits(params, cfg, out.hidden)


def _of_layer(seen: Seen, shape: tuple[int, ...]) -> Iterator[tuple[str, jax.Array]]:
    for name, x in seen._asdict().items():
        if isinstance(x, Routing):
            for part, values in x._asdict().items():
                yield f"routing {part.split('_')[0]}", values.reshape(*shape, -1)
        elif x is not None:
            yield name, joined(x, "tensor", 2) if name in BY_HEAD else x


def in_blocks(subject: Subject, block: Block, width: int, seed: int) -> Found:
    """`stages` but velocities, in ragged blocks of up to `width` through the cache."""
    cfg = subject.cfg
    B, T = block.kind.shape
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
        cache, seen = _one_block(subject.params, part, cache, cfg=cfg)
        for name, x in seen.found().items():
            whole = found.setdefault(name, np.zeros((B, T, *x.shape[2:]), x.dtype))
            for b in range(B):
                whole[b, at[b] : at[b] + n[b]] = x[b, : n[b]]
        at += n
    return found


@functools.partial(jax.jit, static_argnames="cfg")
def _one_block(params: Params, part: Block, cache: Cache, *, cfg: ModelConfig) -> Any:
    out = model.forward(params, cfg, part, cache, capture=True)
    named = dict(_named(params, cfg, part, out))
    return out.cache, _Stages(tuple(named), tuple(named.values()))


def valid(found: Found, batch: Batch, ends: Array | None = None) -> Found:
    """Without what lies behind the sessions' ends (by default where they end)."""
    ends = np.asarray(batch.block.n_valid if ends is None else ends)
    voices = (np.asarray(batch.block.kind) == Kind.AUDIO_OUT).sum(1)
    cut = {}
    for name, x in found.items():
        stops = voices if "flow" in name else ends
        cut[name] = np.concatenate([x[b, :n] for b, n in enumerate(stops)])
    return cut
