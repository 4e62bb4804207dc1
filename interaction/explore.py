"""Looking inside a conversation: what was attended to, routed, and drawn.

A session keeps nothing of what it computed on the way. But the model is causal, so one
`forward` over the whole conversation, written down as the positions that the session
went through, computes it all again: `play` a dialogue, `replay_block` its record,
`replay` the block, and ask the other functions what they saw.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from interaction import model, ops
from interaction.blocks import TurnInput
from interaction.config import LayerKind, ModelConfig
from interaction.conversation import TURN_S, Output
from interaction.data.dialogue import Dialogue
from interaction.grammar import EMITTED, Kind
from interaction.layers import attention, flow, moe
from interaction.modality.audio import MELS, TURN_SAMPLES
from interaction.model import Block
from interaction.ops.rows import rms_norm
from interaction.params import Array, Params
from interaction.record import turn_of
from interaction.score import choices, chosen_logp, draws, noise
from interaction.session import Session

STREAMS: Mapping[str, tuple[Kind, ...]] = {
    "user's voice": (Kind.AUDIO_IN,),
    "own voice": (Kind.AUDIO_OUT,),
    "text": (Kind.TEXT, Kind.TEXT_IN),
    "picture": (Kind.PATCH,),
    "control": (Kind.TURN, Kind.IMG, *(kind for kind in EMITTED if kind != Kind.TEXT)),
}
"""Kinds of position by where they come from; together, all that a block holds."""


@dataclass(frozen=True, eq=False)
class Conversation:
    """What went into a session and what came out, one of each a micro-turn."""

    inputs: tuple[TurnInput, ...]
    outputs: tuple[Output, ...]

    @property
    def agent(self) -> np.ndarray:
        """The agent's voice on the user's clock, float32 [N]: a frame plays one
        micro-turn after the input it answers, the last one after the end."""
        silence = np.zeros(TURN_SAMPLES, np.float32)
        return np.concatenate([silence, *(out.audio for out in self.outputs[:-1])])


def play(session: Session, dialogue: Dialogue) -> Conversation:
    """Run a dialogue's user through a session of one slot, from a fresh start."""
    pairs = {round(t / TURN_S): pair for t, pair in dialogue.frames}
    session.reset()
    waves = dialogue.user.reshape(-1, TURN_SAMPLES)
    outputs = [session.step(w, frames=pairs.get(k)) for k, w in enumerate(waves)]
    return Conversation(tuple(out.given for out in outputs), tuple(outputs))


class Replay(NamedTuple):
    """A block and what the model made of it. hidden: final states [T, D]; inputs: of
    each layer [T, D]; routing: of each layer, None where it is dense."""

    block: Block
    hidden: jax.Array
    inputs: list[jax.Array]
    routing: list[moe.Routing | None]


def replay(params: Params, cfg: ModelConfig, block: Block) -> Replay:
    """Run a block of one session through the model, keeping what the layers saw."""
    first, out = _forward(params, block, cfg)
    inputs = [first[0], *(layer.x[0] for layer in out.captures[:-1])]
    routing = [layer.routing for layer in out.captures]
    return Replay(block, out.hidden[0], inputs, routing)


@functools.partial(jax.jit, static_argnames="cfg")
def _forward(
    params: Params, block: Block, cfg: ModelConfig
) -> tuple[jax.Array, model.Output]:
    embedded = model.embed_block(params, cfg, block)
    return embedded, model.forward(params, cfg, block, capture=True)


def emitted_logp(params: Params, cfg: ModelConfig, seen: Replay) -> np.ndarray:
    """Log-probability of each token that the model chose, among those that the grammar
    allowed there, as in `Frame.logp`. -> float32 [T], NaN where nothing was chosen."""
    chosen = choices(seen.block)
    logp = _logp(params, seen.hidden[chosen.at - 1], *chosen[1:], cfg=cfg)
    result = np.full(len(seen.hidden), np.nan, np.float32)
    result[chosen.at] = np.asarray(logp)
    return result


_logp = jax.jit(chosen_logp, static_argnames="cfg")


def router_load(cfg: ModelConfig, seen: Replay) -> dict[int, np.ndarray]:
    """Where each stream's positions go: layer -> float32 [len(STREAMS), experts], the
    share of a stream's choices that falls on an expert (rows add up to 1, or to 0 where
    a stream has no position). Dense layers are left out."""
    members = _members(seen.block).T
    loads = {}
    for layer, routing in enumerate(seen.routing):
        if routing is not None:
            load = np.stack([moe.load(routing, row, cfg.experts) for row in members])
            loads[layer] = load / np.maximum(load.sum(1, keepdims=True), 1)
    return loads


def _members(block: Block) -> np.ndarray:
    """Which stream each position belongs to, float32 [T, len(STREAMS)] of 0 and 1."""
    columns = [np.isin(block.kind[0], stream) for stream in STREAMS.values()]
    return np.stack(columns, axis=1).astype(np.float32)


def _layers(params: Params, cfg: ModelConfig) -> Iterator[tuple[LayerKind, Params]]:
    """Every layer's kind and parameters, in the order of `Replay.inputs`."""
    where = {
        number: (s, i, at)
        for s, stacks in enumerate(cfg.stacks)
        for i, numbers in enumerate(stacks)
        for at, number in enumerate(numbers)
    }
    for number, kind in enumerate(cfg.layer_kinds):
        s, i, at = where[number]
        yield kind, jax.tree.map(lambda a, at=at: a[at], params["layers"][s][i])


def attention_mass(params: Params, cfg: ModelConfig, seen: Replay) -> list[np.ndarray]:
    """How much attention every position pays to each stream. -> one float32
    [heads, T, len(STREAMS)] a layer; the last axis adds up to 1."""
    members = _members(seen.block)
    keep = model.instructions(cfg, seen.block)
    return [
        np.asarray(_mass(weights, x[None], members, keep, cfg, kind.is_global))
        for (kind, weights), x in zip(_layers(params, cfg), seen.inputs, strict=True)
    ]


@functools.partial(jax.jit, static_argnames=("cfg", "is_global"))
def _mass(
    params: Params,
    x_BTD: jax.Array,
    own_TS: jax.Array,
    keep_BT: jax.Array,
    cfg: ModelConfig,
    is_global: bool,
) -> jax.Array:
    x = rms_norm(ops.of(cfg), x_BTD, params["attn_norm"], cfg.norm_eps)
    weights = attention.attention_weights(params["attn"], cfg, is_global, x, keep_BT)
    return weights[0] @ own_TS


def by_turn(values: np.ndarray, block: Block) -> np.ndarray:
    """Mean over the positions that the agent emitted in a micro-turn, its voice
    included: float [..., T, S] -> [..., turns, S]."""
    mine, turn = np.isin(block.kind[0], (*EMITTED, Kind.AUDIO_OUT)), turn_of(block)
    which = mine & (turn == np.arange(turn[-1] + 1)[:, None])
    return which @ values / which.sum(1, keepdims=True)


def flow_path(
    params: Params, cfg: ModelConfig, seen: Replay, at: int, seed: int = 0
) -> np.ndarray:
    """The patch at an AUDIO_OUT position on its way from noise to speech.

    seed: the session's, so that it is the noise that the session drew.
    -> log10 mel float32 [flow_steps + 1, 4, 80]; the last is the patch as spoken.
    """
    drawn = draws(seen.block)
    i = int(np.flatnonzero(drawn.at == at)[0])
    path = _walk(params["flow"], cfg, seen.hidden[at - 1], drawn.previous[i],
                 np.asarray(seed), drawn.turn[i], drawn.step[i])  # fmt: skip
    return np.asarray(path).reshape(len(path), -1, MELS)


@functools.partial(jax.jit, static_argnames="cfg")
def _walk(
    params: Params,
    cfg: ModelConfig,
    hidden: jax.Array,
    before: jax.Array,
    seed: Array,
    turn: Array,
    step: Array,
) -> jax.Array:
    """-> log10 mel [steps + 1, 320]."""
    last, path = flow.walk(params, cfg, hidden, before, noise(seed, turn, step))
    return flow.unstandardise(params, jnp.concatenate([path, last[None]]))
