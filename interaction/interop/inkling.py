"""Which tensor of an Inkling checkpoint is which of ours, and how one becomes the other.

Two spellings exist: that of the released weights, and that of a model which Hugging Face
`transformers` saved under its own names. They also differ in how the gate and up
projections of SwiGLU share a tensor: interleaved row by row, or one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from interaction.config import ModelConfig
from interaction.layers import hmlp

Shape = tuple[int, ...]


class Form(NamedTuple):
    """How one source tensor and our tensors hold the same numbers.

    split(source) -> ours; join(*ours) -> source; shape(*shapes of ours) -> its shape.
    by_row(source's number of axes): whether a slice of the leading axis on one side
    is the same slice on the other, so that large tensors move in pieces.
    """

    split: Callable[[np.ndarray], tuple[np.ndarray, ...]]
    join: Callable[..., np.ndarray]
    shape: Callable[..., Shape]
    by_row: Callable[[int], bool]


def _swap(x: np.ndarray) -> np.ndarray:
    return np.swapaxes(x, -1, -2)


def _swapped(shape: Shape) -> Shape:
    return (*shape[:-2], shape[-1], shape[-2])


def _doubled(gate: Shape, up: Shape) -> Shape:
    return (*gate[:-2], 2 * gate[-1], gate[-2])


def _deinterleave(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _swap(x[..., 0::2, :]), _swap(x[..., 1::2, :])


def _interleave(gate: np.ndarray, up: np.ndarray) -> np.ndarray:
    pairs = np.stack([_swap(gate), _swap(up)], axis=-2)
    return pairs.reshape(*pairs.shape[:-3], -1, pairs.shape[-1])


def _halve(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    gate, up = np.split(x, 2, axis=-2)
    return _swap(gate), _swap(up)


def _concatenate(gate: np.ndarray, up: np.ndarray) -> np.ndarray:
    return np.concatenate([_swap(gate), _swap(up)], axis=-2)


def _batched(axes: int) -> bool:
    return axes > 2


SAME = Form(lambda x: (x,), lambda x: x, lambda s: s, lambda axes: axes > 0)
LINEAR = Form(lambda x: (_swap(x),), _swap, _swapped, _batched)
"""A torch Linear [out, in], or a batch of them, is a matrix [in, out] of ours."""
CONV = Form(
    lambda x: (x[:, 0].T,),
    lambda x: x.T[:, None],
    lambda s: (s[1], 1, s[0]),
    lambda axes: False,
)
"""A depthwise Conv1d [channels, 1, kernel] is [kernel, channels]."""
PAIRS = Form(_deinterleave, _interleave, _doubled, _batched)
HALVES = Form(_halve, _concatenate, _doubled, _batched)


class Mapped(NamedTuple):
    """One tensor of a checkpoint and those of ours that it becomes."""

    source: str
    ours: tuple[str, ...]
    form: Form


class _Spelling(NamedTuple):
    """Names of one kind of checkpoint: of our tensors' sources, within their prefix."""

    top: dict[str, str]
    layer: str
    layers: Mapping[tuple[str, ...], tuple[str, Form]]
    sparse: Mapping[tuple[str, ...], tuple[str, Form]]
    dense: Mapping[tuple[str, ...], tuple[str, Form]]
    hmlp: tuple[str, str, str]  # linear i, norm i, last norm


_RELEASED = _Spelling(
    top={
        "embed.tokens": "model.llm.embed.weight",
        "embed.tokens_norm": "model.llm.embed_norm.weight",
        "embed.audio": "model.audio.encoder.weight",
        "embed.audio_norm": "model.audio.final_norm.weight",
        "norm": "model.llm.norm.weight",
        "unembed": "model.llm.unembed.weight",
    },
    layer="model.llm.layers.{}.",
    layers={
        ("attn_norm",): ("attn_norm.weight", SAME),
        ("attn.q",): ("attn.wq_du.weight", LINEAR),
        ("attn.k",): ("attn.wk_dv.weight", LINEAR),
        ("attn.v",): ("attn.wv_dv.weight", LINEAR),
        ("attn.r",): ("attn.wr_du.weight", LINEAR),
        ("attn.o",): ("attn.wo_ud.weight", LINEAR),
        ("attn.rel",): ("attn.rel_logits_proj.proj", SAME),
        ("attn.q_norm",): ("attn.q_norm.weight", SAME),
        ("attn.k_norm",): ("attn.k_norm.weight", SAME),
        ("attn.k_conv",): ("attn.k_sconv.weight", CONV),
        ("attn.v_conv",): ("attn.v_sconv.weight", CONV),
        ("attn_conv",): ("attn_sconv.weight", CONV),
        ("mlp_norm",): ("mlp_norm.weight", SAME),
        ("mlp_conv",): ("mlp_sconv.weight", CONV),
    },
    sparse={
        ("router",): ("gate.weight", LINEAR),
        ("router_bias",): ("gate.bias", SAME),
        ("router_scale",): ("gate.global_scale", SAME),
        ("gate", "up"): ("experts.w13_weight", PAIRS),
        ("down",): ("experts.w2_weight", LINEAR),
        ("shared_gate", "shared_up"): ("shared_experts.shared_w13_weight", PAIRS),
        ("shared_down",): ("shared_experts.shared_w2_weight", LINEAR),
    },
    dense={
        ("gate", "up"): ("w13_dn.weight", PAIRS),
        ("down",): ("w2_md.weight", LINEAR),
        ("scale",): ("global_scale", SAME),
    },
    hmlp=(
        "model.visual.layers.linear_{}.weight",
        "model.visual.layers.norm_{}.weight",
        "model.visual.final_norm.weight",
    ),
)

_TRANSFORMERS = _Spelling(
    top={
        "embed.tokens": "model.language_model.embed_tokens.weight",
        "embed.tokens_norm": "model.language_model.embed_tokens.embed_norm.weight",
        "embed.audio": "model.audio_tower.embed_audio_tokens.embed_audio_tokens.weight",
        "embed.audio_norm": "model.audio_tower.norm.weight",
        "norm": "model.language_model.norm.weight",
        "unembed": "lm_head.weight",
    },
    layer="model.language_model.layers.{}.",
    layers={
        ("attn_norm",): ("input_layernorm.weight", SAME),
        ("attn.q",): ("self_attn.q_proj.weight", LINEAR),
        ("attn.k",): ("self_attn.k_proj.weight", LINEAR),
        ("attn.v",): ("self_attn.v_proj.weight", LINEAR),
        ("attn.r",): ("self_attn.r_proj.weight", LINEAR),
        ("attn.o",): ("self_attn.o_proj.weight", LINEAR),
        ("attn.rel",): ("self_attn.rel_logits_proj.proj", SAME),
        ("attn.q_norm",): ("self_attn.q_norm.weight", SAME),
        ("attn.k_norm",): ("self_attn.k_norm.weight", SAME),
        ("attn.k_conv",): ("self_attn.k_sconv.conv1d.weight", CONV),
        ("attn.v_conv",): ("self_attn.v_sconv.conv1d.weight", CONV),
        ("attn_conv",): ("attn_sconv.conv1d.weight", CONV),
        ("mlp_norm",): ("post_attention_layernorm.weight", SAME),
        ("mlp_conv",): ("mlp_sconv.conv1d.weight", CONV),
    },
    sparse={
        ("router",): ("gate.weight", LINEAR),
        ("router_bias",): ("gate.e_score_correction_bias", SAME),
        ("router_scale",): ("gate.global_scale", SAME),
        ("gate", "up"): ("experts.gate_up_proj", HALVES),
        ("down",): ("experts.down_proj", LINEAR),
        ("shared_gate",): ("shared_experts.gate_proj", LINEAR),
        ("shared_up",): ("shared_experts.up_proj", LINEAR),
        ("shared_down",): ("shared_experts.down_proj", LINEAR),
    },
    dense={
        ("gate",): ("gate_proj.weight", LINEAR),
        ("up",): ("up_proj.weight", LINEAR),
        ("down",): ("down_proj.weight", LINEAR),
        ("scale",): ("global_scale", SAME),
    },
    hmlp=(
        "model.vision_tower.encoder_layers.{}.projection.weight",
        "model.vision_tower.encoder_layers.{}.layer_norm.weight",
        "model.vision_tower.final_norm.weight",
    ),
)


def entries(cfg: ModelConfig, names: Mapping) -> list[Mapped]:
    """Every tensor of a checkpoint of this config, in the spelling that `names` (any
    collection of a checkpoint's tensor names) is in."""
    released = any(name.startswith("model.llm.") for name in names)
    spelling = _RELEASED if released else _TRANSFORMERS
    found = [Mapped(source, (ours,), SAME) for ours, source in spelling.top.items()]
    linear, norm, last = spelling.hmlp
    depth = len(hmlp.folds(cfg))
    for i in range(depth):
        found.append(Mapped(linear.format(i), (f"embed.hmlp.w{i}",), LINEAR))
        source = last if i == depth - 1 else norm.format(i)
        found.append(Mapped(source, (f"embed.hmlp.norm{i}",), SAME))
    for n, kind in enumerate(cfg.layer_kinds):
        prefix, ours = spelling.layer.format(n), f"layers.{n}."
        for parts, (source, form) in spelling.layers.items():
            found.append(Mapped(prefix + source, tuple(ours + p for p in parts), form))
        mlp = spelling.dense if kind.is_dense else spelling.sparse
        for parts, (source, form) in mlp.items():
            names_ = tuple(f"{ours}mlp.{part}" for part in parts)
            found.append(Mapped(f"{prefix}mlp.{source}", names_, form))
    return found


def is_mtp(name: str) -> bool:
    """Whether a tensor belongs to the multi-token-prediction blocks."""
    return name.startswith(("model.mtp.", "mtp."))


def stays_float32(name: str) -> bool:
    """Tensors that a bfloat16 checkpoint may hold in float32: of the router, the short
    convolutions and the norms."""
    return any(mark in name for mark in ("gate.", "sconv", "norm", "global_scale"))


def rows(shape: Shape, itemsize: int, form: Form, limit: int) -> list[tuple[int, int]]:
    """Pieces of at most `limit` bytes in which a source tensor of this shape moves."""
    if not shape or not form.by_row(len(shape)):
        return [(0, shape[0] if shape else 1)]
    row = max(1, math.prod(shape[1:]) * itemsize)
    step = max(1, limit // row)
    return [(a, min(a + step, shape[0])) for a in range(0, shape[0], step)]
