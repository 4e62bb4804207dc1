"""What a position is made of: a token, a dMel frame, a patch, or the agent's own voice.

No encoder beside these. Text and controls: two tables, then RMSNorm. Audio: the sum of
one row per mel channel ("bag of embeddings"), then RMSNorm. Own voice: one linear of the
50 ms mel patch just spoken, then RMSNorm. Video: `hmlp`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from interaction import ops
from interaction.config import ModelConfig
from interaction.grammar import CONTROLS
from interaction.layers import hmlp
from interaction.modality.audio import PATCH_DIM
from interaction.ops.rows import matmul, rms_norm
from interaction.parallel.collectives import index, summed
from interaction.params import Init, Params, Spec, fan_in, normal, ones

EPS = 1e-6  # of the audio norm, whatever the backbone's


def ordinal(cfg: ModelConfig) -> Init:
    """Bins of one channel start along one direction, in order, plus noise: a learner
    then sees at once that bin 7 lies between 6 and 8."""
    C, B = cfg.mels, cfg.mel_bins

    def draw(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        direction, noise = jax.random.split(key)
        u_c1D = jax.random.normal(direction, (C, 1, shape[-1]))
        steps_b1 = ((jnp.arange(B) - (B - 1) / 2) / 2)[:, None]
        table = steps_b1 * u_c1D + jax.random.normal(noise, (C, B, shape[-1]))
        return table.reshape(shape)

    return Init(draw, 0.02)


def specs(cfg: ModelConfig) -> dict[str, Spec | dict[str, Spec]]:
    D = cfg.width
    return {
        "tokens": Spec((cfg.vocab, D), ("vocab", "embed"), normal(0.02)),
        "tokens_norm": Spec((D,), (None,), ones),
        "controls": Spec((CONTROLS, D), (None, "embed"), normal(0.02)),
        "audio": Spec((cfg.mels * cfg.mel_bins, D), (None, "embed"), ordinal(cfg)),
        "audio_norm": Spec((D,), (None,), ones),
        "voice": Spec((PATCH_DIM, D), (None, "embed"), fan_in),
        "voice_norm": Spec((D,), (None,), ones),
        "hmlp": hmlp.specs(cfg),
    }


def tokens(params: Params, cfg: ModelConfig, ids: jax.Array) -> jax.Array:
    """int32 [...] -> [..., D]. The rows may be divided over `tensor`: of all devices, one
    has the row, the others add zeros."""
    o, V = ops.of(cfg), params["tokens"].shape[0]
    mine = ids - index(("tensor",)) * V
    text = params["tokens"][jnp.clip(mine, 0, V - 1)]
    held = ((mine >= 0) & (mine < V))[..., None]
    if V < cfg.vocab:
        text = summed(jnp.where(held, text, 0), ("tensor",), o.all_reduce)
    control = params["controls"][jnp.maximum(ids - cfg.controls_at, 0)]
    rows = jnp.where((ids < cfg.controls_at)[..., None], text, control)
    return rms_norm(o, o.cast(rows, cfg.dtype), params["tokens_norm"], cfg.norm_eps)


def audio(params: Params, cfg: ModelConfig, bins: jax.Array) -> jax.Array:
    """dMel bins [..., mels] -> [..., D]. The bag is a product with one-hot rows."""
    o = ops.of(cfg)
    hot = jax.nn.one_hot(bins, cfg.mel_bins, dtype=cfg.dtype)
    hot = hot.reshape(*bins.shape[:-1], cfg.mels * cfg.mel_bins)
    return rms_norm(o, matmul(o, hot, params["audio"]), params["audio_norm"], EPS)


def voice(params: Params, cfg: ModelConfig, patch: jax.Array) -> jax.Array:
    """Standardised mel patch [..., 320] -> [..., D]."""
    o = ops.of(cfg)
    out = matmul(o, o.cast(patch, cfg.dtype), params["voice"])
    return rms_norm(o, out, params["voice_norm"], cfg.norm_eps)
