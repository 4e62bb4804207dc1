"""Inkling's config.json to a `ModelConfig`, field by field.

Keys, aliases and defaults are those of the public config classes (Hugging Face
`transformers`, models/inkling); a checkpoint may spell several of them in two ways.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.jsonfile import read_json
from interaction.layers import hmlp

ARCHITECTURE = "InklingForConditionalGeneration"
MODEL_TYPE = "inkling_mm_model"
_HORIZON = 32_768  # positions that global layers keep, unless told otherwise; ours


class Placeholders(NamedTuple):
    """Token ids that stand for one frame of sound, one patch of a picture."""

    audio: int
    image: int


def placeholders(raw: Mapping[str, Any], path: Path) -> Placeholders:
    top = _Part({"config": raw}, "config", path)
    return Placeholders(
        top.number("audio_token_id", default=200_053),
        top.number("image_token_id", default=200_054),
    )


def stop_tokens(directory: Path) -> tuple[int, ...]:
    """Ids that end a generation: of generation_config.json if it says, else of
    config.json (its top, then its text part), as `transformers` resolves them."""
    generation = directory / "generation_config.json"
    raw = read_json(directory / "config.json")
    places = [raw, raw.get("text_config")]
    if generation.is_file():
        places.insert(0, read_json(generation))
    found = next((p["eos_token_id"] for p in places if p and "eos_token_id" in p), None)
    ids = found if isinstance(found, list) else [] if found is None else [found]
    if not all(type(i) is int for i in ids):
        raise InputError(f"{directory}: eos_token_id={found!r}; give a number or a list")
    return tuple(ids)


def check_architecture(raw: Mapping[str, Any], path: Path) -> None:
    """Raises InputError for a config that is not of a whole Inkling model."""
    names = raw.get("architectures") or []
    if raw.get("model_type") != MODEL_TYPE or names not in ([], [ARCHITECTURE]):
        what = names or raw.get("model_type") or "unnamed"
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
        found = {n: self._values[n] for n in names if self._values.get(n) is not None}
        if len({repr(value) for value in found.values()}) > 1:
            raise InputError(f"{self._path}: {found} are two names of one thing; drop one")
        return next(iter(found.values()), default)

    def number(self, *names: str, default: float, least: int = 1) -> Any:
        """A number of the default's type: whole and `least` or more, or above zero."""
        value = self.get(*names, default=default)
        whole = isinstance(default, int)
        good = type(value) is int or (type(value) is float and not whole)
        good = good and math.isfinite(value) and (value >= least if whole else value > 0)
        if not good:
            wanted = f"a whole number, {least} or more" if whole else "a number above 0"
            raise InputError(
                f"{self._path}: {self._part}.{names[0]}={value!r}; give {wanted}"
            )
        return type(default)(value)

    def must(self, name: str, only: Any) -> None:
        value = self.get(name, default=only)
        if value != only:
            raise InputError(
                f"{self._path}: {self._part}.{name}={value!r} is not supported (only "
                f"{only!r}); use a checkpoint that has it so"
            )

    def items(self, name: str, kind: type) -> list | None:
        """A list of numbers or words, or None."""
        value = self.get(name)
        if value is not None and not (
            isinstance(value, list) and all(type(item) is kind for item in value)
        ):
            raise InputError(
                f"{self._path}: {self._part}.{name}={value!r}; give a list of "
                f"{'numbers' if kind is int else 'words'}"
            )
        return value


def _kinds(text: _Part, path: Path, layers: int) -> dict[str, tuple[int, ...]]:
    """Which layers are global and which dense."""
    attention = text.items("layer_types", str)
    if attention is None:
        local = text.items("local_layer_ids", int)
        if local is None:
            local = [i for i in range(layers) if (i + 1) % 6]
        attention = ["hybrid_sliding" if i in local else "hybrid" for i in range(layers)]
    mlp = text.items("mlp_layer_types", str)
    if mlp is None:
        dense = text.number("dense_mlp_idx", default=0, least=0)
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


def fewest_bodies(values: Mapping[str, Any]) -> dict[str, int]:
    """`group` and `run` with which a program holds a layer's code the fewest times."""
    layers = values["layers"]

    def bodies(group: int) -> int:
        segments = ModelConfig(**dict(values, group=group, run=layers)).segments
        return sum(len(segment.runs) for segment in segments)

    group = min(range(1, layers + 1), key=lambda g: (bodies(g), g))
    return {"group": group, "run": group}


def model_config(
    raw: Mapping[str, Any],
    path: Path,
    ours: Mapping[str, Any] | None = None,
    dtype: str = "bfloat16",
) -> ModelConfig:
    """raw: the parsed config.json, named `path` in errors; ours: values for the fields
    that Inkling does not determine (flow head, horizon, camera), if not the defaults;
    dtype: of the weights, where the config does not say.

    Raises InputError for another architecture or a value that this stack lacks.
    """
    check_architecture(raw, path)
    vision = _Part(raw, "vision_config", path)
    vision.must("num_channels", 3)
    patch = vision.number("patch_size", default=40)
    frames = vision.number("temporal_patch_size", default=2)
    depth = vision.number("n_layers", "num_hidden_layers", default=24)
    scales = hmlp.plan(patch, frames, depth)[1:-1]
    audio = _Part(raw, "audio_config", path)
    text = _text(_Part(raw, "text_config", path), path)
    values: dict[str, Any] = {
        "horizon": max(_HORIZON, text["window"], text["global_extent"]),
        **(ours or {}),
        **text,
        "mels": audio.number("n_mel_bins", "num_codebooks", default=80),
        "mel_bins": audio.number("mel_vocab_size", "codebook_size", default=256),
        "patch": patch,
        "patch_frames": frames,
        "patch_widths": tuple(scale.channels for scale in scales),
        "dtype": _dtype(raw, path) or dtype,
    }
    return ModelConfig(**{**values, **fewest_bodies(values)})


def _text(text: _Part, path: Path) -> dict[str, Any]:
    """Fields of the backbone."""
    text.must("hidden_act", "silu")
    text.must("shared_expert_sink", True)
    layers = text.number("num_hidden_layers", default=66)
    vocab = text.number("vocab_size", default=201_024)
    expert, dense = ("moe_intermediate_size", 3072), ("intermediate_size", 24_576)
    if text.get("dense_intermediate_size") is not None:
        # Then `intermediate_size` is the experts' width.
        expert, dense = ("intermediate_size", 3072), ("dense_intermediate_size", 24_576)
    floor = text.number("log_scaling_n_floor", default=0, least=0)
    alpha = text.number("log_scaling_alpha", default=0.1)
    multiplier = ("logits_mup_width_multiplier", "embedding_multiplier")
    return {
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
        "window": text.number("sliding_window_size", "sliding_window", default=512),
        "global_extent": text.number("rel_extent", default=1024),
        "rel_dim": text.number("d_rel", default=16),
        "log_floor": floor or 1,
        "log_alpha": alpha if floor else 0.0,
        "conv_kernel": text.number("conv_kernel_size", "sconv_kernel_size", default=4),
        "norm_eps": text.number("rms_norm_eps", default=1e-6),
        "logit_divisor": text.number(*multiplier, default=24.0),
        "dense_width": text.number(dense[0], default=dense[1]),
        "experts": text.number("n_routed_experts", "num_local_experts", default=256),
        "experts_per_token": text.number("num_experts_per_tok", default=6),
        "shared_experts": text.number("n_shared_experts", default=2),
        "expert_width": text.number(expert[0], default=expert[1]),
        "route_scale": text.number("route_scale", default=8.0),
    }


def _dtype(raw: Mapping[str, Any], path: Path) -> str | None:
    text = raw["text_config"]
    found = [c.get(key) for c in (raw, text) for key in ("dtype", "torch_dtype")]
    name = next((str(d) for d in found if d), None)
    if name is None:
        return None
    name = name.removeprefix("torch.")
    if name not in ("float32", "bfloat16"):
        raise InputError(
            f"{path}: weights are {name}; use a checkpoint in bfloat16 or float32"
        )
    return name
