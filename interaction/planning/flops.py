"""Floating-point operations by part, from a model's sizes.

A multiply-add is two. What a compiler reports is of no use here: it counts a loop's body
once. Attention counts the keys that are seen, not those that a kernel also touches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from interaction import model
from interaction.config import ModelConfig
from interaction.grammar import CONTROLS
from interaction.layers.attention import heads
from interaction.layers.hmlp import CHANNELS, folds
from interaction.modality.audio import PATCH_DIM
from interaction.parallel.mesh import TABLE
from interaction.params import flatten
from interaction.train import muon


def _seen(positions: int, window: int) -> float:
    """Keys that the positions of a row see together."""
    w = min(window, positions)
    return w * (w + 1) / 2 + (positions - w) * w


def _projections(cfg: ModelConfig, is_global: bool) -> int:
    """Of one position's attention."""
    hd = heads(cfg, is_global)
    out = 2 * hd.H * hd.E + 2 * hd.K * hd.E + hd.H * cfg.rel_dim
    return 2 * cfg.width * out


def _scores(cfg: ModelConfig, is_global: bool) -> int:
    """Of one query and one key it sees: logit, bias, value."""
    hd = heads(cfg, is_global)
    return 2 * hd.H * (2 * hd.E + cfg.rel_dim)


def forward_flops(
    cfg: ModelConfig,
    positions: int,
    rows: int = 1,
    *,
    audio: int = 0,
    patches: int = 0,
    voice: int = 0,
    logits: int | None = None,
    flow: int = 0,
    before: int = 0,
) -> dict[str, float]:
    """Of `rows` rows of `positions`, by part.

    audio, patches, voice: positions of a row that are made of each; logits: positions
    that are given to the unembedding (default: all); flow: evaluations of the velocity;
    before: positions that the cache holds already.
    """
    D, V = cfg.width, cfg.vocab + CONTROLS
    out = dict.fromkeys(("projections", "scores", "router", "experts", "dense"), 0.0)
    for kind in cfg.layer_kinds:
        window = heads(cfg, kind.is_global).window
        seen = _seen(before + positions, window) - _seen(before, window)
        out["projections"] += positions * _projections(cfg, kind.is_global)
        out["scores"] += seen * _scores(cfg, kind.is_global)
        if kind.is_dense:
            out["dense"] += positions * 6 * D * cfg.dense_width
            continue
        used = cfg.experts_per_token + cfg.shared_experts
        out["router"] += positions * 2 * D * (cfg.experts + cfg.shared_experts)
        out["experts"] += positions * used * 6 * D * cfg.expert_width
    out["unembedding"] = (positions if logits is None else logits) * 2 * D * V
    out["embeddings"] = 2 * D * (audio * cfg.mels * cfg.mel_bins + voice * PATCH_DIM)
    out["hMLP"] = patches * 2.0 * _hmlp(cfg)
    W = cfg.flow_width
    out["flow head"] = flow * 2.0 * (2 * PATCH_DIM * W + cfg.flow_layers * 5 * W * W)
    return {name: rows * n for name, n in out.items()}


def _hmlp(cfg: ModelConfig) -> int:
    """Multiply-adds of one patch: every layer on what is left of it."""
    widths = (CHANNELS, *cfg.patch_widths, cfg.width)
    left, total = cfg.patch_frames * cfg.patch**2, 0
    for i, (frames, side) in enumerate(folds(cfg)):
        left //= frames * side**2
        total += left * frames * side**2 * widths[i] * widths[i + 1]
    return total


def training_flops(
    cfg: ModelConfig, positions: int, rows: int, remat: bool, **made_of: int
) -> tuple[float, float]:
    """(what the model needs: three forwards; what the program does) of a step.

    With `remat`, a layer is computed again before its backward pass, but for the down
    projections of its experts; logits always are.
    """
    forward = forward_flops(cfg, positions, rows, **made_of)
    needed = 3 * sum(forward.values())
    again = forward["unembedding"]
    if remat:
        shared = cfg.shared_experts / (cfg.experts_per_token + cfg.shared_experts)
        again += sum(forward[name] for name in ("projections", "scores", "router", "dense"))
        again += forward["experts"] * (shared + (1 - shared) * 2 / 3)
    return needed, needed + again


def muon_flops(cfg: ModelConfig, sizes: Mapping[str, int]) -> float:
    """Of all Newton-Schulz steps of an update, on all devices of a mesh: those that hold
    parts of the same matrices share them out, zeros where they do not go round."""
    specs, out = flatten(model.specs(cfg)), 0.0
    for name in muon.names(cfg):
        shape, axes = specs[name].shape, specs[name].axes
        m, n = sorted(shape[-2:])
        held = math.prod(shape[:-2]) // _devices(axes[:-2], sizes)
        each = -(-held // _devices(axes[-2:], sizes))
        out += each * muon.STEPS * 2.0 * (2 * m * m * n + m**3)
    return out * math.prod(sizes.values())


def _devices(axes: tuple[str | None, ...], sizes: Mapping[str, int]) -> int:
    """That these axes of a parameter are divided over."""
    return math.prod(sizes[axis] for logical in axes for axis in TABLE[logical])
