"""The preallocated state of a stack of layers for a number of slots."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from interaction.config import ModelConfig
from interaction.layers import conv
from interaction.layers.attention import Ring, empty_ring


class LayerState(NamedTuple):
    """One layer: its ring and the tails of its two branch convolutions."""

    ring: Ring
    attn_conv: jax.Array  # [B, kernel-1, D] float32
    mlp_conv: jax.Array


class Cache(NamedTuple):
    """`layers[segment][run]`: state of the layers of a run, stacked as their parameters
    are. `cursor`: positions written so far, int32 [B]. `keep`: which of the first
    positions are instructions, bool [B, pinned]."""

    cursor: jax.Array
    layers: tuple[tuple[LayerState, ...], ...]
    keep: jax.Array

    def longest_block(self, cfg: ModelConfig) -> int:
        """Positions that one block may have without overwriting keys it still sees."""
        sizes = [
            state.ring.v.shape[3]
            - (cfg.pinned + cfg.horizon if run.kind.is_global else cfg.window)
            - cfg.kv_split
            for segment, states in zip(cfg.segments, self.layers, strict=True)
            for run, state in zip(segment.runs, states, strict=True)
        ]
        return min(sizes)


def empty_cache(cfg: ModelConfig, slots: int, max_block: int | None = None) -> Cache:
    """A cache for blocks of up to `max_block` positions; by default those of a
    micro-turn, `cfg.max_ingest` rounded up to 8."""
    block = max_block or -(-cfg.max_ingest // 8) * 8

    def state(is_global: bool, layers: int) -> LayerState:
        tail = conv.empty_state(slots, cfg.width, cfg.conv_kernel)
        one = LayerState(empty_ring(cfg, is_global, slots, block), tail, tail)
        return jax.tree.map(lambda x: jnp.zeros((layers, *x.shape), x.dtype), one)

    layers = tuple(
        tuple(state(r.kind.is_global, r.length * segment.repeats) for r in segment.runs)
        for segment in cfg.segments
    )
    keep = jnp.zeros((slots, cfg.pinned), bool)
    return Cache(jnp.zeros((slots,), jnp.int32), layers, keep)


def clear_slots(cache: Cache, clear_B: jax.Array) -> Cache:
    """Forget the sessions of the slots where `clear` is true.

    Keys need no clearing: with the cursor at zero their positions mask themselves.
    """

    def wipe(state: LayerState) -> LayerState:
        def zero(tail_RBkC: jax.Array) -> jax.Array:
            return jnp.where(clear_B[None, :, None, None], 0, tail_RBkC)

        ring = state.ring._replace(
            k_conv=zero(state.ring.k_conv), v_conv=zero(state.ring.v_conv)
        )
        return LayerState(ring, zero(state.attn_conv), zero(state.mlp_conv))

    layers = tuple(tuple(wipe(state) for state in run) for run in cache.layers)
    keep = cache.keep & ~clear_B[:, None]
    return Cache(jnp.where(clear_B, 0, cache.cursor), layers, keep)
