"""A conversation between two micro-turns, as a file.

One safetensors file: every array of its slot, what the host keeps of it, and a digest of
both. Whoever opens it with the same model goes on with the same bits.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors
from safetensors.numpy import save as serialise

from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.package import Package
from interaction.state import State, empty_state

SCHEMA = "interaction.conversation/2"
EAR = "ear"  # the host's only array
PARTIAL = ".partial"  # ends the name of a file that is not whole yet


class Snapshot(NamedTuple):
    """model: `fingerprint` of the model; talk: `Conversation.state()`; row: its slot's
    arrays on the host, one slot each; turns, delay: of the clock that it is on."""

    model: str
    seed: int
    temperature: float
    talk: dict[str, Any]
    row: State
    turns: int
    delay: int = 0


def fingerprint(package: Package) -> str:
    """Tells models apart: by sizes, and by the last norm, which no two trainings share."""
    norm = np.asarray(package.params["norm"], np.float32)
    return hashlib.sha256(package.cfg.to_json().encode() + norm.tobytes()).hexdigest()


def _names(row: State) -> list[str]:
    paths, _ = jax.tree_util.tree_flatten_with_path(row)
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in paths]


def _digest(meta: dict[str, str], arrays: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def save(path: Path, snapshot: Snapshot) -> None:
    """Whole or not at all: written under another name first. For its owner's eyes."""
    talk = dict(snapshot.talk)
    arrays = dict(zip(_names(snapshot.row), jax.tree.leaves(snapshot.row), strict=True))
    arrays |= {EAR: talk.pop(EAR)}
    arrays = {name: np.ascontiguousarray(x) for name, x in arrays.items()}
    meta = {
        "schema": SCHEMA,
        "model": snapshot.model,
        "seed": str(snapshot.seed),
        "temperature": snapshot.temperature.hex(),
        "turns": str(snapshot.turns),
        "delay": str(snapshot.delay),
        "talk": json.dumps(talk),
    }
    meta["digest"] = _digest(meta, arrays)
    partial = path.with_name(path.name + PARTIAL)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(serialise(arrays, metadata=meta))
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def load(path: Path, cfg: ModelConfig) -> Snapshot:
    """Raises InputError when the file is no whole snapshot of such a model."""
    like = jax.eval_shape(lambda: empty_state(cfg, 1, np.zeros(1, int)))
    try:
        with safetensors.safe_open(path, "numpy") as file:
            meta = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if meta.get("schema") != SCHEMA:
            raise InputError(f"{path} is no conversation; give what a snapshot wrote")
        if meta.pop("digest") != _digest(meta, arrays):
            raise InputError(f"{path} is damaged; give a whole conversation")
        talk = json.loads(meta["talk"]) | {EAR: arrays[EAR]}
        leaves = [arrays[name] for name in _names(like)]
    except (OSError, safetensors.SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path}: {error}; give a whole conversation") from None
    for x, want in zip(leaves, jax.tree.leaves(like), strict=True):
        if (x.shape, x.dtype) != (want.shape, want.dtype):
            raise InputError(f"{path} is of a model of other sizes; open that one")
    row = jax.tree.unflatten(jax.tree.structure(like), leaves)
    temperature = float.fromhex(meta["temperature"])
    turns, delay = int(meta["turns"]), int(meta["delay"])
    return Snapshot(meta["model"], int(meta["seed"]), temperature, talk, row, turns, delay)
