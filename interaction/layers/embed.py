"""What a position is made of: a token, a dMel frame, a patch, or the agent's own voice.

No encoder beside these. Text and controls: a table, then RMSNorm. Audio: the sum of one
row per mel channel ("bag of embeddings"), then RMSNorm. Video: hMLP, bias-free linears
over space-to-depth folds of one 40 x 40 patch of a pair of frames. Own voice: one linear
of the 50 ms mel patch just spoken, then RMSNorm.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from interaction.config import ModelConfig
from interaction.layers.norm import rms_norm
from interaction.modality.audio import BINS, MELS, PATCH_DIM
from interaction.params import Params, Spec, fan_in, normal, ones

PAIR = 2  # frames in a patch


def ordinal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Bins of one channel start along one direction, in order, plus noise: a learner
    then sees at once that bin 7 lies between 6 and 8."""
    direction, noise = jax.random.split(key)
    u_c1D = jax.random.normal(direction, (MELS, 1, shape[-1]))
    steps_b1 = ((jnp.arange(BINS) - (BINS - 1) / 2) / 2)[:, None]
    table = steps_b1 * u_c1D + jax.random.normal(noise, (MELS, BINS, shape[-1]))
    return 0.02 * table.reshape(shape)


def folds(patch: int) -> tuple[int, ...]:
    """Spatial folds of hMLP: 40 -> (5, 2, 4). The pair of frames is folded last."""
    if patch != 40:
        raise ValueError(f"no fold plan for patches of {patch} pixels; use 40")
    return (5, 2, 4)


def specs(cfg: ModelConfig) -> dict[str, Spec | dict[str, Spec]]:
    D = cfg.width
    widths = (3, *cfg.patch_widths)
    hmlp: dict[str, Spec] = {}
    for i, fold in enumerate(folds(cfg.patch)):
        hmlp[f"w{i}"] = Spec((fold * fold * widths[i], widths[i + 1]), (None, None), fan_in)
        hmlp[f"norm{i}"] = Spec((widths[i + 1],), (None,), ones)
    hmlp["out"] = Spec((PAIR * widths[-1], D), (None, "embed"), fan_in)
    hmlp["out_norm"] = Spec((D,), (None,), ones)
    return {
        "tokens": Spec((cfg.vocab, D), ("vocab", "embed"), normal(0.02)),
        "tokens_norm": Spec((D,), (None,), ones),
        "audio": Spec((MELS * BINS, D), (None, "embed"), ordinal),
        "audio_norm": Spec((D,), (None,), ones),
        "voice": Spec((PATCH_DIM, D), (None, "embed"), fan_in),
        "voice_norm": Spec((D,), (None,), ones),
        "hmlp": hmlp,
    }


def tokens(params: Params, cfg: ModelConfig, ids: jax.Array) -> jax.Array:
    """int32 [...] -> [..., D]."""
    rows = params["tokens"][ids].astype(cfg.dtype)
    return rms_norm(rows, params["tokens_norm"], cfg.norm_eps)


def audio(params: Params, cfg: ModelConfig, bins: jax.Array) -> jax.Array:
    """dMel bins [..., 80] -> [..., D]. The bag is a product with one-hot rows."""
    hot = jax.nn.one_hot(bins, BINS, dtype=cfg.dtype)
    bag = hot.reshape(*bins.shape[:-1], MELS * BINS) @ params["audio"].astype(cfg.dtype)
    return rms_norm(bag, params["audio_norm"], cfg.norm_eps)


def voice(params: Params, cfg: ModelConfig, patch: jax.Array) -> jax.Array:
    """Standardised mel patch [..., 320] -> [..., D]."""
    out = patch.astype(cfg.dtype) @ params["voice"].astype(cfg.dtype)
    return rms_norm(out, params["voice_norm"], cfg.norm_eps)


def video(params: Params, cfg: ModelConfig, pixels: jax.Array) -> jax.Array:
    """Normalised patches [..., 2, 40, 40, 3] -> [..., D]."""
    p = params["hmlp"]
    lead = pixels.shape[:-4]
    n = math.prod(lead) * PAIR
    x = pixels.astype(cfg.dtype).reshape(n, cfg.patch, cfg.patch, 3)
    for i, fold in enumerate(folds(cfg.patch)):
        _, h, w, c = x.shape
        x = x.reshape(n, h // fold, fold, w // fold, fold, c).transpose(0, 1, 3, 2, 4, 5)
        x = x.reshape(n, h // fold, w // fold, fold * fold * c) @ p[f"w{i}"]
        x = jax.nn.gelu(rms_norm(x, p[f"norm{i}"], cfg.norm_eps), approximate=False)
    x = x.reshape(*lead, -1) @ p["out"]
    return rms_norm(x, p["out_norm"], cfg.norm_eps)
