"""The shipped configs have every key that the code reads where it is there: an override of
a key that a config lacks is refused."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from interaction.config import ModelConfig
from interaction.settings import load
from interaction.train.guard import Rules

ROOT = Path(__file__).parents[1]
CONFIGS = [*sorted((ROOT / "configs").glob("*.py")), ROOT / "tests" / "tiny.py"]
GROUPS = {"train": "train", "t": "train", "data": "data"}
"""What a group of a config is called where it is read."""


def asked(file: Path) -> Iterator[tuple[str, str]]:
    """(group, key) of every `train.get("key")` and `config.train.get("key", …)`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        of, key = node.func.value, node.args[0] if node.args else None
        name = getattr(of, "attr", getattr(of, "id", ""))
        if node.func.attr == "get" and name in GROUPS and isinstance(key, ast.Constant):
            yield GROUPS[name], str(key.value)


def optional() -> set[tuple[str, str]]:
    """Keys that a run can do without."""
    parts = [ROOT / "interaction" / part for part in ("train", "planning")]
    files = [file for part in parts for file in part.rglob("*.py")]
    found = {pair for file in files for pair in asked(file)}
    return found | {("train", name) for name in Rules._fields}


def test_the_source_is_read():
    some = {("data", "corpus"), ("train", "ema"), ("train", "muon"), ("train", "spike")}
    assert some <= optional()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_has_every_key_that_can_be_set(path):
    config = load(path)
    lacking = [
        f"{group}.{key}"
        for group, key in sorted(optional())
        if group in config and key not in config[group]
    ]
    assert not lacking and "numerics" in config.model
    advice = ["--config.model.numerics=fast"]
    if "train" in config:
        advice.append("--config.train.on_bad_step=skip")  # the guard's own
    changed = load(path, advice)
    assert ModelConfig.from_mapping(changed.model.to_dict()).numerics == "fast"


def test_shipped_defaults_are_those_of_the_code():
    """A config without them, copied before there were any, means the same."""
    for path in CONFIGS:
        config = load(path)
        model = config.model.to_dict()
        without = {name: value for name, value in model.items() if name != "numerics"}
        assert ModelConfig.from_mapping(model) == ModelConfig.from_mapping(without)
        if "train" in config:
            said = {name: config.train[name] for name in Rules._fields}
            assert said == Rules()._asdict() and config.train.ema == 0.0
            assert config.data.corpus == ""
