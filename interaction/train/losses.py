"""Losses by stream: text, control, flow, heard."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from interaction import model, ops
from interaction.config import ModelConfig
from interaction.grammar import EMITTED, Kind
from interaction.layers import flow
from interaction.modality.audio import PATCH_DIM
from interaction.model import Block
from interaction.params import Params
from interaction.rounding import rounded
from interaction.train.cross_entropy import cross_entropy


class Weights(NamedTuple):
    """How the streams add up, and how the flow head draws."""

    flow: float
    heard: float
    control: float
    z: float
    draws: int
    voice_rows: int  # patches of a batch that the flow loss is computed on
    t_mean: float  # t ~ sigmoid(N(t_mean, 1)); t = 0 is noise
    previous_drop: float  # how often the head must do without the patch before
    hidden_drop: float  # how often without the hidden state (for guidance)


def loss_weights(train: ConfigDict) -> Weights:
    """Those of a config's `train`."""
    return Weights(
        flow=train.flow_weight,
        heard=train.heard_weight,
        control=train.control_weight,
        z=train.z_loss,
        draws=train.flow_draws,
        voice_rows=train.flow_rows,
        t_mean=train.flow_t_mean,
        previous_drop=train.flow_previous_drop,
        hidden_drop=train.flow_hidden_drop,
    )


Counts = dict[str, jax.Array]


def counts(batch: dict[str, jax.Array], voice_rows: int) -> Counts:
    """What the sums of `loss` are divided by: whole numbers, so that adding those of
    several parts of a batch is exact in any order. float32 [] each."""
    kind = next_kind(batch)
    text, emitted = is_text(kind), is_emitted(kind)
    heard = (batch["kind"] == Kind.AUDIO_IN).sum(1)
    spoken = (batch["voice_at"] >= 0).sum()
    found = {
        "text": text.sum(),
        "control": (emitted & ~text).sum(),
        "emitted": emitted.sum(),
        "frames": (kind == Kind.TURN).sum(),
        "heard": jnp.minimum(heard, batch["heard"].shape[1]).sum(),
        "patches": jnp.minimum(spoken, voice_rows),
    }
    return {name: n.astype(jnp.float32) for name, n in found.items()}


def next_kind(batch: dict[str, jax.Array]) -> jax.Array:
    return jnp.pad(batch["kind"][:, 1:], ((0, 0), (0, 1)))


def is_text(kind: jax.Array) -> jax.Array:
    return kind == Kind.TEXT


def is_emitted(kind: jax.Array) -> jax.Array:
    return sum((kind == e for e in EMITTED), jnp.zeros_like(kind)).astype(bool)


def _inverses(n: Counts, weights: Weights) -> Counts:
    """One over each count. Rounded, so that no compiler merges these divisions with the
    factors that they and gradients are multiplied by: programs for one device and for
    several are simplified differently."""
    n = n | {"patches": n["patches"] * (weights.draws * PATCH_DIM)}
    return {name: rounded(1.0 / jnp.maximum(x, 1.0)) for name, x in n.items()}


def _share(o: ops.Ops, values: jax.Array, mask: jax.Array, inverse: jax.Array) -> jax.Array:
    """This part's share of a mean. float32 []"""
    values = rounded(jnp.where(mask, values, 0.0))
    return rounded(o.row_sum(values.reshape(1, -1))[0, 0] * inverse)


def _blend(k: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """sqrt(1 - k) x + sqrt(k) y."""
    return rounded(jnp.sqrt(1 - k) * x) + rounded(jnp.sqrt(k) * y)


def feedback(key: jax.Array, voice_BOM: jax.Array) -> jax.Array:
    """Own voice as the model will hear it when it runs freely: never quite right.

    Every row gets its own noise level, x <- sqrt(1-k) x + sqrt(k) noise with
    k ~ U(0, 1) (as CALM does), and in one of four the voice is noise altogether, so that
    words and time, not the echo of the last patch, carry the speech.
    """
    level_key, off_key, noise_key = jax.random.split(key, 3)
    B = voice_BOM.shape[0]
    k = jax.random.uniform(level_key, (B, 1, 1))
    k = jnp.where(jax.random.uniform(off_key, (B, 1, 1)) < 0.25, 1.0, k)
    noise = jax.random.normal(noise_key, voice_BOM.shape)
    return _blend(k, voice_BOM, noise)


def flow_loss(
    params: Params,
    cfg: ModelConfig,
    key: jax.Array,
    hidden_BTD: jax.Array,
    batch: dict,
    x_BOM: jax.Array,
    weights: Weights,
    inverse: jax.Array,
) -> jax.Array:
    """|v - (x - noise)|^2 at a random choice of the batch's patches.

    Each hidden state is used for `draws` (t, noise) pairs. Near t = 0 the hidden state
    alone can tell what to say, and the patch before, given noisy or not at all, must not
    become a substitute for it: else the voice drifts as soon as it runs freely.
    """
    pick_key, time_key, noise_key, drop_key, blur_key = jax.random.split(key, 5)
    at = batch["voice_at"]
    B, O, M = x_BOM.shape
    order = (at >= 0) + jax.random.uniform(pick_key, at.shape)
    order = jnp.where(at >= 0, order, -1.0).reshape(-1)
    score, rows = jax.lax.top_k(order, min(weights.voice_rows, B * O))
    mask = score >= 0

    before = jnp.pad(x_BOM, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    before = jnp.where(batch["voice_first"][..., None], 0.0, before)
    hidden = jnp.take_along_axis(hidden_BTD, jnp.maximum(at, 0)[..., None], axis=1)
    x, before = x_BOM.reshape(B * O, M)[rows], before.reshape(B * O, M)[rows]
    hidden = hidden.reshape(B * O, -1)[rows]

    k = 0.5 * jax.random.uniform(blur_key, (len(rows), 1))
    blur = jax.random.normal(jax.random.fold_in(blur_key, 1), before.shape)
    kept = jax.random.uniform(drop_key, (len(rows), 1)) >= weights.previous_drop
    before = jnp.where(kept, _blend(k, before, blur), 0.0)
    lost = jax.random.uniform(jax.random.fold_in(drop_key, 1), (len(rows), 1))
    hidden = jnp.where(lost < weights.hidden_drop, 0.0, hidden)

    draws = (weights.draws, len(rows))
    t = jax.nn.sigmoid(weights.t_mean + jax.random.normal(time_key, draws))
    noise = jax.random.normal(noise_key, (*draws, M))
    x_t = rounded((1 - t)[..., None] * noise) + rounded(t[..., None] * x)
    cond = flow.condition(params["flow"], cfg, hidden, before)
    v = flow.velocity(
        params["flow"], cfg, jnp.broadcast_to(cond, (*draws, cond.shape[-1])), t, x_t
    )
    o, error = ops.of(cfg), v - (x - noise)
    return _share(o, o.row_sum(rounded(error * error))[..., 0], mask, inverse)


def to_block(batch: dict, voice: jax.Array) -> Block:
    return Block(
        batch["kind"],
        batch["token"],
        batch["index"],
        batch["dmel"],
        batch["patches"],
        voice,
        batch["n_valid"],
    )


def _split(params: Params) -> tuple[Params, Params]:
    """Parameters that the layers take, and those that the heads take."""
    heads = {name: x for name, x in params.items() if name not in model.TRUNK}
    return {name: params[name] for name in model.TRUNK}, heads


def _heads(
    heads: Params, cfg: ModelConfig, out: model.Output
) -> tuple[Params, model.Output]:
    """The heads' parameters, whole only once the layers have run; backwards, their
    gradients are summed and divided before the layers run: tables of a whole vocabulary
    would lie there all the while (TML on two slices of v6e: 1.7 GiB a chip)."""
    heads, hidden = jax.lax.optimization_barrier((heads, out.hidden))
    return model.whole(heads, cfg), out._replace(hidden=hidden)


def loss(
    params: Params,
    cfg: ModelConfig,
    weights: Weights,
    batch: dict[str, jax.Array],
    key: jax.Array,
    n: Counts,
    remat: bool = False,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Loss of (a part of) a batch: rows of `data.pack` -> (float32 [], metrics).

    n: counts of the whole batch, so that the parts' losses and metrics add up to its own.
    """
    share = functools.partial(_share, ops.of(cfg))
    voice_key, flow_key = jax.random.split(key)
    one_over = _inverses(n, weights)
    frozen = jax.lax.stop_gradient(params["flow"])
    x_BOM = flow.standardise(frozen, batch["voice"])
    block = to_block(batch, feedback(voice_key, x_BOM))
    layers, heads = _split(params)
    age = batch.get("age")  # of rows that hold several sessions
    out = model.forward(model.whole(layers, cfg), cfg, block, age=age, remat=remat)
    heads, out = _heads(heads, cfg, out)

    kind = next_kind(batch)
    target = jnp.pad(batch["token"][:, 1:], ((0, 0), (0, 1)))
    text_here, emitted = is_text(kind), is_emitted(kind)
    flat = out.hidden.reshape(-1, cfg.width)
    entropy = cross_entropy(heads, cfg, flat, target.reshape(-1))
    ce, log_z, right = (x.reshape(target.shape) for x in entropy)
    scale = jnp.where(text_here, 1.0, weights.control)
    # Per frame, not per token: silence must not drown the few words.
    tokens = share(ce * scale, emitted, one_over["frames"])
    z = share(log_z**2, emitted, one_over["emitted"])

    heard_BA = batch["heard"]
    heard_at, here = _audio_positions(batch["kind"], heard_BA.shape[1])
    heard_hidden = jnp.take_along_axis(out.hidden, heard_at[..., None], axis=1)
    heard_hidden = model.heard_hidden(heads, cfg, heard_hidden.reshape(-1, cfg.width))
    entropy = cross_entropy(heads, cfg, heard_hidden, heard_BA.reshape(-1))
    heard_ce, _, heard_right = (x.reshape(heard_BA.shape) for x in entropy)
    heard = share(heard_ce, here, one_over["heard"])
    speech = here & (heard_BA != cfg.controls_at + Kind.NOTHING)

    flow_mse = flow_loss(
        heads, cfg, flow_key, out.hidden, batch, x_BOM, weights, one_over["patches"]
    )
    total = (
        tokens
        + rounded(weights.heard * heard)
        + rounded(weights.flow * flow_mse)
        + rounded(weights.z * z)
    )
    return total, {
        "loss": total,
        "text": share(ce, text_here, one_over["text"]),
        "control": share(ce, emitted & ~text_here, one_over["control"]),
        "heard": heard,
        "flow": flow_mse,
        "text_accuracy": share(right, text_here, one_over["text"]),
        "control_accuracy": share(right, emitted & ~text_here, one_over["control"]),
        "heard_right": jnp.where(speech, heard_right, 0.0).sum(),
        "heard_speech": speech.sum().astype(jnp.float32),
        "load": out.load,
    }


def _audio_positions(kind_BT: jax.Array, audio: int) -> tuple[jax.Array, jax.Array]:
    """Where AUDIO_IN positions are. -> (int32 [B, A], whether there is one [B, A])."""
    T = kind_BT.shape[1]
    is_audio = kind_BT == Kind.AUDIO_IN
    rank = jnp.where(is_audio, jnp.cumsum(is_audio, axis=1) - 1, audio)
    rows = jnp.arange(kind_BT.shape[0])[:, None]
    at = jnp.full((kind_BT.shape[0], audio + 1), T, jnp.int32)
    at = at.at[rows, rank].set(jnp.arange(T))[:, :audio]
    return jnp.minimum(at, T - 1), at < T
