"""Inkling's config.json to a `ModelConfig`, field by field.

Keys, aliases and defaults are those of the public config classes (Hugging Face
`transformers`, models/inkling); a checkpoint may spell several of them in two ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.layers import hmlp

ARCHITECTURE = "InklingForConditionalGeneration"
MODEL_TYPE = "inkling_mm_model"
_HORIZON = 32_768  # positions that global layers keep, unless told otherwise; ours


class Placeholders(NamedTuple):
    """Token ids that stand for one frame of sound, one patch of a picture."""

    audio: int
    image: int


def placeholders(raw: Mapping[str, Any]) -> Placeholders:
    return Placeholders(
        int(raw.get("audio_token_id", 200_053)), int(raw.get("image_token_id", 200_054))
    )


def stop_tokens(raw: Mapping[str, Any]) -> tuple[int, ...]:
    """Ids that end a generation, as the config's text part says."""
    eos = raw["text_config"].get("eos_token_id", 2)
    if eos is None:
        return ()
    return tuple(eos) if isinstance(eos, list) else (int(eos),)


def check_architecture(raw: Mapping[str, Any], path: Path) -> None:
    """Raises InputError for a config that is not of a whole Inkling model."""
    names = raw.get("architectures") or []
    if raw.get("model_type") != MODEL_TYPE or names not in ([], [ARCHITECTURE]):
        what = ", ".join(map(str, names)) or raw.get("model_type") or "nothing"
        raise InputError(
            f"{path}: architecture {what} is unknown here; give a checkpoint of "
            f"{ARCHITECTURE} (model_type {MODEL_TYPE})"
        )
    if raw.get("quantization_config"):
        raise InputError(
            f"{path}: these weights are quantised; import the bfloat16 release instead"
        )
    for part in ("text_config", "audio_config", "vision_config"):
        if not isinstance(raw.get(part), Mapping):
            raise InputError(f"{path}: no {part}; download the whole config.json")


class _Part:
    """One part of the config: typed values under any of their names."""

    def __init__(self, raw: Mapping[str, Any], part: str, path: Path) -> None:
        self._values, self._part, self._path = raw[part], part, path

    def get(self, *names: str, default: Any = None) -> Any:
        for name in names:
            if self._values.get(name) is not None:
                return self._values[name]
        return default

    def number(self, *names: str, default: float) -> Any:
        value = self.get(*names, default=default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(
                f"{self._path}: {self._part}.{names[0]}={value!r}; give a number"
            )
        return type(default)(value)

    def must(self, name: str, only: Any) -> None:
        value = self.get(name, default=only)
        if value != only:
            raise InputError(
                f"{self._path}: {self._part}.{name}={value!r} is not supported (only "
                f"{only!r}); use a checkpoint that has it so"
            )


def _kinds(text: _Part, path: Path, layers: int) -> dict[str, tuple[int, ...]]:
    """Which layers are global and which dense."""
    attention = text.get("layer_types")
    if attention is None:
        local = text.get("local_layer_ids")
        default = [i for i in range(layers) if (i + 1) % 6]
        local = set(default if local is None else local)
        attention = ["hybrid_sliding" if i in local else "hybrid" for i in range(layers)]
    mlp = text.get("mlp_layer_types")
    if mlp is None:
        dense = text.number("dense_mlp_idx", default=0)
        mlp = ["dense" if i < dense else "sparse" for i in range(layers)]
    for key, kinds, known in (
        ("layer_types", attention, {"hybrid", "hybrid_sliding"}),
        ("mlp_layer_types", mlp, {"dense", "sparse"}),
    ):
        if len(kinds) != layers or not set(kinds) <= known:
            raise InputError(
                f"{path}: text_config.{key} must be {layers} of {', '.join(sorted(known))}"
            )
    return {
        "global_layers": tuple(i for i, k in enumerate(attention) if k == "hybrid"),
        "dense_layers": tuple(i for i, k in enumerate(mlp) if k == "dense"),
    }


def best_group(values: Mapping[str, Any]) -> int:
    """Layers a scan's body should hold so that the fewest bodies are compiled."""

    def bodies(group: int) -> int:
        segments = ModelConfig(**dict(values, group=group)).segments
        return sum(len(segment.pattern) for segment in segments)

    return min(range(1, values["layers"] + 1), key=lambda g: (bodies(g), g))


def model_config(
    raw: Mapping[str, Any], path: Path, ours: Mapping[str, Any] | None = None
) -> ModelConfig:
    """raw: the parsed config.json, named `path` in errors; ours: values for the fields
    that Inkling does not determine (flow head, horizon, camera), if not the defaults.

    Raises InputError for another architecture or a value that this stack lacks.
    """
    check_architecture(raw, path)
    text = _Part(raw, "text_config", path)
    audio, vision = _Part(raw, "audio_config", path), _Part(raw, "vision_config", path)
    text.must("hidden_act", "silu")
    text.must("shared_expert_sink", True)
    vision.must("num_channels", 3)
    layers = text.number("num_hidden_layers", default=66)
    window = text.number("sliding_window_size", "sliding_window", default=512)
    extent = text.number("rel_extent", default=1024)
    vocab = text.number("vocab_size", default=201_024)
    expert, dense = text.get("moe_intermediate_size"), text.get("intermediate_size")
    if text.get("dense_intermediate_size") is not None:  # then `intermediate_size` is
        expert, dense = dense, text.get("dense_intermediate_size")  # the experts'
    patch = vision.number("patch_size", default=40)
    frames = vision.number("temporal_patch_size", default=2)
    depth = vision.number("n_layers", "num_hidden_layers", default=24)
    floor = text.get("log_scaling_n_floor")
    alpha = text.number("log_scaling_alpha", default=0.1)
    values: dict[str, Any] = {
        "vocab": vocab,
        "vocab_used": text.number("unpadded_vocab_size", default=vocab),
        "width": text.number("hidden_size", default=6144),
        "layers": layers,
        **_kinds(text, path, layers),
        "heads": text.number("num_attention_heads", default=64),
        "kv_heads": text.number("num_key_value_heads", default=8),
        "head_dim": text.number("head_dim", default=128),
        "local_heads": text.number("swa_num_attention_heads", default=64),
        "local_kv_heads": text.number("swa_num_key_value_heads", default=16),
        "local_head_dim": text.number("swa_head_dim", default=128),
        "window": window,
        "horizon": max(_HORIZON, window, extent),
        "global_extent": extent,
        "rel_dim": text.number("d_rel", default=16),
        "log_floor": 1 if floor is None else int(floor),
        "log_alpha": 0.0 if floor is None else alpha,
        "conv_kernel": text.number("conv_kernel_size", "sconv_kernel_size", default=4),
        "norm_eps": text.number("rms_norm_eps", default=1e-6),
        "logit_divisor": text.number("logits_mup_width_multiplier", default=24.0),
        "dense_width": int(dense or 24_576),
        "experts": text.number("n_routed_experts", "num_local_experts", default=256),
        "experts_per_token": text.number("num_experts_per_tok", default=6),
        "shared_experts": text.number("n_shared_experts", default=2),
        "expert_width": int(expert or 3072),
        "route_scale": text.number("route_scale", default=8.0),
        "mels": audio.number("n_mel_bins", "num_codebooks", default=80),
        "mel_bins": audio.number("mel_vocab_size", "codebook_size", default=256),
        "patch": patch,
        "patch_frames": frames,
        "patch_widths": tuple(
            scale.channels for scale in hmlp.plan(patch, frames, depth)[1:-1]
        ),
        "dtype": _dtype(raw, path),
    }
    values["group"] = best_group(values)
    return ModelConfig(**dict(ours or {}, **values))


def _dtype(raw: Mapping[str, Any], path: Path) -> str:
    text = raw["text_config"]
    found = [c.get(key) for c in (raw, text) for key in ("dtype", "torch_dtype")]
    name = next((str(d) for d in found if d), "bfloat16").removeprefix("torch.")
    if name not in ("float32", "bfloat16"):
        raise InputError(
            f"{path}: weights are {name}; use a checkpoint in bfloat16 or float32"
        )
    return name
