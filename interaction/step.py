"""The micro-turn on the device: `ingest` an input block, `emit` an output frame.

All state is preallocated for the slots and donated; shapes are static; nothing retraces
or grows. `emit` runs at most `MAX_EMIT` positions and stops when every slot is done.

On a mesh, slots are divided over its axes `data` and `fsdp`, heads and experts over
`tensor` and `expert`; the same functions run on every device's part.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from interaction import model, ops
from interaction.cache import Cache
from interaction.config import ModelConfig
from interaction.grammar import AUDIO_PER_TURN, MAX_EMIT, Kind
from interaction.layers import flow
from interaction.modality import waveform
from interaction.modality.audio import HOP, MELS, PATCH_DIM, PATCH_FRAMES
from interaction.model import Block
from interaction.ops.rows import log_softmax, softmax
from interaction.parallel.collectives import anywhere
from interaction.parallel.mesh import AXES
from interaction.parallel.placement import (
    BY_ROW,
    EVERYWHERE,
    of_params,
    over,
)
from interaction.params import Array, Params
from interaction.state import State, partitions, select


class Heard(NamedTuple):
    """The heard head at this turn's AUDIO_IN positions, [B, 4] each."""

    token: Array
    probability: Array


class Frame(NamedTuple):
    """What a micro-turn emitted. Lists are left-packed, `n` int32 [B] of `MAX_EMIT`.

    kind, token: int32 [B, E]; logp: log-probability of each chosen token under the
    grammar's allowed set at temperature 1, float32 [B, E]; patches: standardised mel
    [B, 4, 320]; audio: float32 [B, 3200].
    """

    kind: Array
    token: Array
    logp: Array
    n: Array
    patches: Array
    audio: Array


@functools.partial(jax.jit, static_argnames=("cfg", "mesh"), donate_argnames="state")
def ingest(
    params: Params,
    state: State,
    block: Block,
    *,
    cfg: ModelConfig,
    mesh: Mesh | None = None,
) -> tuple[State, Heard]:
    """Prefill one input block. Slots with n_valid = 0 sit this micro-turn out."""
    at = partitions(state)
    ins = (of_params(cfg, mesh), at, BY_ROW)
    run = over(mesh, functools.partial(_ingest, cfg), ins, (at, BY_ROW))
    return run(params, state, block)


def _ingest(
    cfg: ModelConfig, params: Params, state: State, block: Block
) -> tuple[State, Heard]:
    params = model.whole(params, cfg)
    out = model.forward(params, cfg, block, state.cache)
    assert out.cache is not None  # one went in
    rows = jnp.arange(block.kind.shape[0])
    last = jnp.maximum(block.n_valid - 1, 0)
    hidden = select(block.n_valid > 0, out.hidden[rows, last], state.hidden)
    audio_at = jnp.maximum(last[:, None] - jnp.arange(AUDIO_PER_TURN)[::-1], 0)
    heard = model.heard_logits(params, cfg, out.hidden[rows[:, None], audio_at])
    probability = softmax(ops.of(cfg), heard).max(-1)
    state = state._replace(cache=out.cache, hidden=hidden)
    return state, Heard(heard.argmax(-1).astype(jnp.int32), probability)


class _Carry(NamedTuple):
    """The frame under construction."""

    cache: Cache
    hidden: jax.Array
    previous: jax.Array
    done: jax.Array  # bool [B]
    phase: jax.Array  # row of the grammar table, int32 [B]
    texts: jax.Array  # text tokens so far
    audio_left: jax.Array  # AUDIO_OUT positions still to come
    kind: jax.Array
    token: jax.Array
    logp: jax.Array
    n: jax.Array
    patches: jax.Array
    i: jax.Array
    going: jax.Array  # some slot of some device is not done


def _choose(
    params: Params,
    cfg: ModelConfig,
    c: _Carry,
    key: jax.Array,
    temperature_B: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Next token under the grammar: the likeliest at temperature 0. -> (token, logp)."""
    logits = model.allowed_logits(params, cfg, c.hidden, c.phase, c.texts)
    logp = log_softmax(ops.of(cfg), logits)

    def noisy() -> jax.Array:
        noise = jax.vmap(lambda k: jax.random.gumbel(k, logits.shape[1:]))(key)
        return logits + temperature_B[:, None] * noise

    drawn = jax.lax.cond((temperature_B > 0).any(), noisy, lambda: logits)
    token = drawn.argmax(-1).astype(jnp.int32)
    return token, jnp.take_along_axis(logp, token[:, None], axis=-1)[:, 0]


def _substep(
    params: Params,
    cfg: ModelConfig,
    keys: jax.Array,
    temperature_B: jax.Array,
    c: _Carry,
) -> _Carry:
    """One emitted position of every slot that is not done."""
    B = c.hidden.shape[0]
    at = cfg.controls_at
    step_keys = jax.vmap(lambda k: jax.random.fold_in(k, c.i))(keys)
    speaks = c.audio_left > 0
    live = ~c.done
    token, logp = jax.lax.cond(
        (live & ~speaks).any(),
        lambda: _choose(params, cfg, c, step_keys, temperature_B),
        lambda: (jnp.zeros(B, jnp.int32), jnp.zeros(B, jnp.float32)),
    )

    def draw() -> jax.Array:
        noise = jax.vmap(lambda k: jax.random.normal(k, (PATCH_DIM,)))(step_keys)
        return flow.sample(params["flow"], cfg, c.hidden, c.previous, noise)

    patch = jax.lax.cond(
        (live & speaks).any(), draw, lambda: jnp.zeros((B, PATCH_DIM), jnp.float32)
    )
    is_text = ~speaks & (token < at)
    kind = jnp.where(is_text, Kind.TEXT, token - at)
    kind = jnp.where(speaks, Kind.AUDIO_OUT, kind)
    token = jnp.where(speaks, at + Kind.AUDIO_OUT, token)
    logp = jnp.where(speaks, 0.0, logp)

    block = Block(
        kind[:, None],
        token[:, None],
        jnp.zeros((B, 1), jnp.int32),
        jnp.zeros((B, 0, MELS), jnp.uint8),
        jnp.zeros((B, 0, 2, cfg.patch, cfg.patch, 3), jnp.float32),
        patch[:, None],
        live.astype(jnp.int32),
    )
    out = model.forward(params, cfg, block, c.cache)
    assert out.cache is not None  # one went in

    slot = jnp.clip(AUDIO_PER_TURN - c.audio_left, 0, AUDIO_PER_TURN - 1)
    rows = jnp.arange(B)
    write = live & speaks
    patches = c.patches.at[rows, slot].set(
        jnp.where(write[:, None], patch, c.patches[rows, slot])
    )
    audio_left = jnp.where(write, c.audio_left - 1, c.audio_left)
    audio_left = jnp.where(live & (kind == Kind.SPEAK), AUDIO_PER_TURN, audio_left)
    finished = (kind == Kind.SILENT) | (speaks & (audio_left == 0))
    put = lambda array, value: array.at[:, c.i].set(jnp.where(live, value, 0))  # noqa: E731
    phase = jnp.where(kind == Kind.DELEGATE, 2, 1)
    done = c.done | finished
    return _Carry(
        out.cache,
        select(live, out.hidden[:, 0], c.hidden),
        select(write, patch, c.previous),
        done,
        jnp.where(live, phase, c.phase),
        c.texts + (live & is_text),
        audio_left,
        put(c.kind, kind),
        put(c.token, token),
        put(c.logp, logp),
        c.n + live,
        patches,
        c.i + 1,
        anywhere((~done).any(), AXES),
    )


def _voice(
    params: Params,
    wave_params: Params,
    state: State,
    spoke: jax.Array,
    cleared: jax.Array,
    patches: jax.Array,
) -> tuple[waveform.State, jax.Array]:
    """Patches to samples; the tail of an utterance rings out unless it was cleared."""
    B = spoke.shape[0]
    starts = spoke & (~state.speaking | cleared)
    wave = select(starts, waveform.empty_state(B), state.wave)

    mel = flow.unstandardise(params["flow"], patches)
    mel = mel.reshape(B, AUDIO_PER_TURN, PATCH_FRAMES, MELS)
    after, audio = waveform.decode_patches(wave_params, wave, mel, spoke)
    silence = jnp.zeros_like(audio)
    drained, tail = waveform.drain(state.wave)
    tail = silence.at[:, :HOP].set(tail)
    ends = state.speaking & ~spoke
    audio = select(spoke, audio, select(ends & ~cleared, tail, silence))
    return select(spoke, after, select(ends, drained, state.wave)), audio


@functools.partial(jax.jit, static_argnames=("cfg", "mesh"), donate_argnames="state")
def emit(
    params: Params,
    wave_params: Params,
    state: State,
    live_B: jax.Array,
    temperature_B: jax.Array,
    *,
    cfg: ModelConfig,
    mesh: Mesh | None = None,
) -> tuple[State, Frame]:
    """Decode one output frame for the slots where `live` is true.

    A slot's randomness depends on its own key, turn and position in the frame alone.
    """
    at = partitions(state)
    mine = of_params(cfg, mesh)
    run = over(
        mesh,
        functools.partial(_emit, cfg),
        (mine, EVERYWHERE, at, BY_ROW, BY_ROW),
        (at, BY_ROW),
    )
    return run(params, wave_params, state, live_B, temperature_B)


def _emit(
    cfg: ModelConfig,
    params: Params,
    wave_params: Params,
    state: State,
    live_B: jax.Array,
    temperature_B: jax.Array,
) -> tuple[State, Frame]:
    params = model.whole(params, cfg)
    B = live_B.shape[0]
    keys = jax.vmap(lambda k, t: jax.random.fold_in(jax.random.wrap_key_data(k), t))(
        state.key, state.turn
    )
    zeros = jnp.zeros((B,), jnp.int32)
    grid = jnp.zeros((B, MAX_EMIT), jnp.int32)
    patches = jnp.zeros((B, AUDIO_PER_TURN, PATCH_DIM), jnp.float32)
    # A new utterance starts without a past: `previous` is the patch before it or zero.
    previous = select(state.speaking, state.previous, jnp.zeros_like(state.previous))
    carry = _Carry(
        state.cache, state.hidden, previous, ~live_B, zeros, zeros, zeros,
        grid, grid, grid.astype(jnp.float32), zeros, patches, jnp.int32(0),
        anywhere(live_B.any(), AXES),
    )  # fmt: skip
    body = functools.partial(_substep, params, cfg, keys, temperature_B)
    c = jax.lax.while_loop(lambda c: c.going, body, carry)

    spoke = (c.kind == Kind.SPEAK).any(-1)
    cleared = (c.kind == Kind.CLEAR).any(-1)
    wave, audio = _voice(params, wave_params, state, spoke, cleared, c.patches)
    audio = select(live_B, audio, jnp.zeros_like(audio))
    frame = Frame(c.kind, c.token, c.logp, c.n, c.patches, audio)
    state = State(
        c.cache,
        c.hidden,
        c.previous,
        jnp.where(live_B, spoke, state.speaking),
        select(live_B, wave, state.wave),
        state.key,
        state.turn + live_B,
    )
    return state, frame
