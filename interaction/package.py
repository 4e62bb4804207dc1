"""A model as a directory: config.json, model.safetensors, tokenizer.json, waveform.

The shipped checkpoints are such directories under `interaction/assets/`. Large models
are in several files, with the index that is usual for safetensors; one imported from
elsewhere keeps what it came with in `source/`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from interaction import weights
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.jsonfile import read_json
from interaction.modality.text import Text
from interaction.params import Params
from interaction.tensors import INDEX, SINGLE, TensorFiles

ASSETS = Path(__file__).parent / "assets"
SOURCE = "source"  # what an imported model came with, inside its directory


class Package(NamedTuple):
    """An opened model. text: None where an imported model came without a tokenizer;
    wave: parameters of the waveform decoder."""

    cfg: ModelConfig
    params: Params
    text: Text | None
    wave: Params
    path: Path


def has_tensors(directory: Path) -> bool:
    return any((directory / file).is_file() for file in (SINGLE, INDEX))


def locate(name_or_path: str | Path) -> Path:
    """Directory of a shipped model's name or of a path. Raises InputError if none."""
    for candidate in (Path(name_or_path), ASSETS / str(name_or_path)):
        if has_tensors(candidate):
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


def config_of(path: Path) -> ModelConfig:
    """Of a model's directory. Raises InputError."""
    raw = read_json(path / "config.json")
    if "architectures" in raw:
        raise InputError(
            f"{path} is a checkpoint of another stack; `python -m interaction.convert "
            "import` makes a model of it"
        )
    return ModelConfig.from_mapping(raw)


def open_package(
    name_or_path: str | Path, shardings: weights.Shardings | None = None
) -> Package:
    """Parameters keep the dtypes they are stored in; with `shardings` (see
    `interaction.parallel`), every device reads its own part of them and no more.

    Raises InputError, naming the file or tensor that is missing or does not fit.
    """
    from interaction.modality import waveform

    path = locate(name_or_path)
    cfg = config_of(path)
    files = TensorFiles(path)
    weights.check(files, cfg, path)
    tokenizer = path / "tokenizer.json"
    text = Text.open(tokenizer) if tokenizer.is_file() else None
    wave = waveform.load(path / "waveform.safetensors")
    return Package(cfg, weights.load(files, cfg, shardings), text, wave, path)


def save_model(directory: Path, cfg: ModelConfig, params: Params) -> None:
    """Write config.json and the tensors; what was there is replaced when all is whole."""
    partial = directory / ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    weights.save(partial, cfg, params)
    (partial / "config.json").write_text(cfg.to_json() + "\n")
    before = TensorFiles(directory).file_of.values() if has_tensors(directory) else ()
    stale = {INDEX, *before} - {file.name for file in partial.iterdir()}
    for file in sorted(partial.iterdir(), key=lambda f: f.name == INDEX):
        os.replace(file, directory / file.name)
    for name in stale:
        (directory / name).unlink(missing_ok=True)
    partial.rmdir()
