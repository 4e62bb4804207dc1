"""Run configs: a Python file with `get_config()`, and `--config.key=value` overrides."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from interaction.errors import InputError


def load(path: str | Path, overrides: Sequence[str] = ()) -> ConfigDict:
    """Load `path` and apply overrides such as `--config.train.batch=4`.

    Raises InputError for a missing file, an unknown key, or a value of another type.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no config at {path}; the shipped ones are in configs/")
    spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"config {path} is no .py file; the shipped ones are in configs/")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config: ConfigDict = module.get_config()
    except Exception as error:
        raise InputError(f"config {path} does not load: {error!r}; mend it") from None
    for item in overrides:
        _apply(config, item)
    return config.lock()


def _apply(config: ConfigDict, item: str) -> None:
    key, equals, text = item.partition("=")
    if not key.startswith("--config.") or not equals:
        raise InputError(f"unknown option {item}; overrides look like --config.a.b=value")
    *groups, name = key.removeprefix("--config.").split(".")
    node = config
    for group in groups:
        node = node.get(group) if isinstance(node, ConfigDict) else None
    if not isinstance(node, ConfigDict) or name not in node:
        raise InputError(f"unknown config key {key[2:]}; see the config file for its keys")
    node[name] = _parse(text, node[name], key[2:])


def _parse(text: str, old: Any, key: str) -> Any:
    if isinstance(old, str):
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    if isinstance(old, float) and type(value) is int:
        value = float(value)
    if isinstance(old, tuple) and isinstance(value, list):
        value = tuple(value)
    if old is not None and type(value) is not type(old):
        wanted = type(old).__name__
        raise InputError(f"{key}={text} is not of type {wanted}; give a {wanted}")
    return value
