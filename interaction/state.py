"""What slots carry between micro-turns: made, begun again, taken out and put back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from interaction.cache import Cache, LayerState, clear_slots, empty_cache
from interaction.config import ModelConfig, Run
from interaction.layers.attention import Ring, pinned
from interaction.modality import waveform
from interaction.modality.audio import PATCH_DIM
from interaction.parallel.mesh import ROWS
from interaction.parallel.placement import BY_ROW, EVERYWHERE, check_rows, kept, place
from interaction.params import Array


class State(NamedTuple):
    """Everything that a slot carries from one micro-turn to the next.

    hidden: state of the last position [B, D]; previous: the standardised patch spoken
    last [B, 320], zeros before an utterance; speaking: the last frame had sound [B];
    key: the session's PRNG key data uint32 [B, 2]; turn: micro-turns done int32 [B].
    """

    cache: Cache
    hidden: jax.Array
    previous: jax.Array
    speaking: jax.Array
    wave: waveform.State
    key: jax.Array
    turn: jax.Array


def partitions(state: State) -> Any:
    """Where a state's arrays live on a mesh: slots by row, heads over `tensor`."""
    heads, tails = PartitionSpec(None, ROWS, "tensor"), PartitionSpec(None, ROWS)
    kv_tails: Any = PartitionSpec(None, ROWS, None, "tensor")
    layer = LayerState(Ring(heads, heads, kv_tails, kv_tails), tails, tails)  # type: ignore
    layers = tuple(tuple(layer for _ in run) for run in state.cache.layers)
    return State(Cache(BY_ROW, layers, BY_ROW), *[BY_ROW] * 6)  # type: ignore[arg-type]


def empty_state(
    cfg: ModelConfig, slots: int, seeds: np.ndarray, mesh: Mesh | None = None
) -> State:
    """`seeds`: int [slots], one a session."""
    check_rows(mesh, slots)
    state = State(
        empty_cache(cfg, slots),
        jnp.zeros((slots, cfg.width), cfg.dtype),
        jnp.zeros((slots, PATCH_DIM), jnp.float32),
        jnp.zeros((slots,), bool),
        waveform.empty_state(slots),
        session_keys(jnp.asarray(seeds)),
        jnp.zeros((slots,), jnp.int32),
    )
    return place(mesh, state, partitions(state))


def session_keys(seed_B: jax.Array) -> jax.Array:
    """PRNG key data of sessions with these seeds. int [B] -> uint32 [B, 2]."""
    return jax.vmap(lambda s: jax.random.key_data(jax.random.key(s)))(seed_B)


def select(mask_B: Array, new, old):
    """Per slot: `new` where the mask is true. Trees of arrays with slots first."""

    def pick(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(mask_B.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return jax.tree.map(pick, new, old)


@functools.partial(jax.jit, static_argnames="cfg", donate_argnames="state")
def restart(
    state: State, clear_B: jax.Array, seed_B: jax.Array, *, cfg: ModelConfig
) -> State:
    """Begin new sessions in the slots where `clear` is true, each with its own seed: a
    session's randomness belongs to it, not to the slot that it happens to get."""
    slots = clear_B.shape[0]
    fresh = (
        jnp.zeros_like(state.hidden),
        jnp.zeros_like(state.previous),
        jnp.zeros_like(state.speaking),
        waveform.empty_state(slots),
    )
    held = (state.hidden, state.previous, state.speaking, state.wave)
    hidden, previous, speaking, wave = select(clear_B, fresh, held)
    turn = jnp.where(clear_B, 0, state.turn)
    cache = clear_slots(state.cache, clear_B)
    key = select(clear_B, session_keys(seed_B), state.key)
    return State(cache, hidden, previous, speaking, wave, key, turn)


def _each(f: Callable[..., Array], state: State, *others: State) -> State:
    """f(axis of the slots, array, ...) of every array of a state."""
    is_one = lambda x: isinstance(x, PartitionSpec)  # noqa: E731

    def one(at: PartitionSpec, *parts: Any) -> Any:
        return jax.tree.map(functools.partial(f, list(at).index(ROWS)), *parts)

    return jax.tree.map(one, partitions(state), state, *others, is_leaf=is_one)


@functools.partial(jax.jit, static_argnames=("cfg", "mesh"))
def take(
    state: State, slot: jax.Array, *, cfg: ModelConfig, mesh: Mesh | None = None
) -> State:
    """One slot's row of every array, for another slot or a file. Keys at positions that
    its conversation has not reached are zeros: they are those of one before it."""
    row = _each(lambda axis, x: lax.dynamic_slice_in_dim(x, slot, 1, axis), state)

    def mine(run: Run, layer: LayerState) -> LayerState:
        P, size = pinned(cfg, run.kind.is_global), layer.ring.v.shape[3]
        at = jnp.concatenate([jnp.arange(P), jnp.arange(size - P)])
        everywhere = (jnp.arange(size) >= P) & (size - P <= row.cache.cursor)
        written = (at < row.cache.cursor) | everywhere
        k = jnp.where(written, layer.ring.k, 0)
        v = jnp.where(written[:, None], layer.ring.v, 0)
        return layer._replace(ring=layer.ring._replace(k=k, v=v))

    layers = tuple(
        tuple(map(mine, segment.runs, states))
        for segment, states in zip(cfg.segments, row.cache.layers, strict=True)
    )
    row = row._replace(cache=row.cache._replace(layers=layers))
    return kept(mesh, row, EVERYWHERE)


@functools.partial(jax.jit, static_argnames="mesh", donate_argnames="state")
def put(state: State, slot: jax.Array, row: State, *, mesh: Mesh | None = None) -> State:
    """A row that `take` gave, in a slot."""
    put = lambda axis, x, new: lax.dynamic_update_slice_in_dim(x, new, slot, axis)  # noqa: E731
    return kept(mesh, _each(put, state, row), partitions(state))
