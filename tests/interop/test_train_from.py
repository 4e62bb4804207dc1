"""From open weights to an interaction model and back: import, train, export."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict
from tokenizers import Tokenizer, models

from interaction.config import ModelConfig
from interaction.interop import transfer
from interaction.package import open_package
from interaction.settings import load
from interaction.tensors import TensorFiles
from interaction.train.export import export
from interaction.train.loop import train

TINY = Path(__file__).parent.parent / "tiny.py"
GOLDEN = Path(__file__).parent / "goldens" / "seed_1"


def test_imported_weights_train_and_go_back(tmp_path):
    src = tmp_path / "theirs"
    src.mkdir()
    for name in ("model.safetensors", "config.json"):
        (src / name).write_bytes((GOLDEN / name).read_bytes())
    vocab = {f"t{i}": i for i in range(40)}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="t0"))
    tokenizer.save(str(src / "tokenizer.json"))
    transfer.import_checkpoint(src, tmp_path / "ours", {"horizon": 64, "flow_width": 16})

    cfg = open_package(tmp_path / "ours").cfg
    config = ConfigDict(load(TINY).to_dict())
    config.model = ConfigDict(dataclasses.asdict(cfg))
    config.train.steps = 2
    assert ModelConfig.from_mapping(config.model.to_dict()) == cfg
    run = tmp_path / "run"
    state = train(config, run, init=str(tmp_path / "ours"))
    assert int(state.step) == 2
    assert not (np.asarray(state.params["flow"]["std"]) == 1).all()  # measured, not fresh

    export(run, tmp_path / "trained")
    trained = tmp_path / "trained" / "tokenizer.json"
    assert trained.read_bytes() == (src / "tokenizer.json").read_bytes()
    transfer.export_checkpoint(tmp_path / "trained", tmp_path / "back")
    before, after = TensorFiles(src), TensorFiles(tmp_path / "back")
    assert before.entries == after.entries  # names, shapes and dtypes of the source
    name = "model.language_model.layers.0.self_attn.q_proj.weight"
    assert (before.read(name) != after.read(name)).any()
