"""A model as a directory: config.json, model.safetensors, tokenizer.json, waveform.

The shipped checkpoints are such directories under `interaction/assets/`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from interaction import model
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.modality.text import Text
from interaction.params import Params, abstract, flatten, unflatten_like

ASSETS = Path(__file__).parent / "assets"


class Package(NamedTuple):
    """An opened model. `wave`: parameters of the waveform decoder."""

    cfg: ModelConfig
    params: Params
    text: Text
    wave: Params
    path: Path


def locate(name_or_path: str | Path) -> Path:
    """Directory of a shipped model's name or of a path. Raises InputError if none."""
    shipped = ASSETS / str(name_or_path)
    path = Path(name_or_path)
    for candidate in (path, shipped):
        if (candidate / "model.safetensors").is_file():
            return candidate
    names = ", ".join(sorted(p.parent.name for p in ASSETS.glob("*/model.safetensors")))
    raise InputError(
        f"no checkpoint {name_or_path}: neither a directory with model.safetensors nor "
        f"one of the shipped ({names or 'none'}); train one or mend the name"
    )


def tokenizer_path(name: str) -> Path:
    """tokenizer.json that a config of this name trains with."""
    path = ASSETS / name / "tokenizer.json"
    return path if path.is_file() else ASSETS / "nano" / "tokenizer.json"


def open_package(name_or_path: str | Path) -> Package:
    """Raises InputError, naming the file or tensor that is missing or does not fit."""
    from interaction.modality import waveform

    path = locate(name_or_path)
    cfg = ModelConfig.from_mapping(_read_json(path / "config.json"))
    want = flatten(abstract(model.specs(cfg)))
    have = _read_tensors(path / "model.safetensors")
    for name, spec in want.items():
        if name not in have:
            raise InputError(f"{path}/model.safetensors lacks {name}; export it again")
        if have[name].shape != spec.shape:
            raise InputError(
                f"{path}/model.safetensors: {name} is {have[name].shape}, config.json "
                f"says {spec.shape}; use the config it was trained with"
            )
    arrays = {name: jnp.asarray(have[name], spec.dtype) for name, spec in want.items()}
    params = unflatten_like(model.specs(cfg), arrays)
    text = Text.open(path / "tokenizer.json")
    return Package(cfg, params, text, waveform.load(path / "waveform.safetensors"), path)


def save_model(directory: Path, cfg: ModelConfig, params: Params) -> None:
    """Write config.json and model.safetensors, each whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    flat = {name: np.asarray(x) for name, x in flatten(params).items()}
    partial = directory / "model.safetensors.partial"
    save_file(flat, str(partial))
    os.replace(partial, directory / "model.safetensors")
    partial = directory / "config.json.partial"
    partial.write_text(cfg.to_json() + "\n")
    os.replace(partial, directory / "config.json")


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} does not read ({error}); export it again") from None


def _read_tensors(path: Path) -> dict[str, np.ndarray]:
    try:
        return load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} does not read ({error}); export it again") from None
