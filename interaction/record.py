"""What a session heard, saw and did, position by position: enough to run it again.

One safetensors file: the session as one block that starts a conversation (in0 out0 in1
out1 ...), the log-probabilities that it recorded, and its seed, from which all its
randomness follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors
from safetensors.numpy import save as serialise

from interaction.blocks import TurnInput, pack_turn
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.grammar import AUDIO_PER_TURN, EMITTED, Kind
from interaction.modality.audio import PATCH_DIM
from interaction.model import Block
from interaction.step import Frame

SCHEMA = "interaction.record/1"


class Record(NamedTuple):
    """block: numpy arrays, batch of 1, every position valid; `voice` holds the patches
    as spoken. logp: float32 [T], NaN where nothing was chosen. seed: the session's."""

    block: Block
    logp: np.ndarray
    seed: int


def make(
    cfg: ModelConfig, inputs: Sequence[TurnInput], frames: Sequence[Frame], seed: int
) -> Record:
    """A record of what each micro-turn brought and of one slot's `Output.frame`s."""
    block = replay_block(cfg, inputs, frames)
    logp = np.full(block.kind.shape[1], np.nan, np.float32)
    emitted = [np.asarray(f.logp[: f.n]) for f in frames]
    mine = np.isin(block.kind[0], (*EMITTED, Kind.AUDIO_OUT))
    logp[mine] = np.concatenate(emitted)
    logp[block.kind[0] == Kind.AUDIO_OUT] = np.nan
    return Record(block, logp, seed)


def save(path: Path, record: Record) -> None:
    arrays = {f"block.{name}": x for name, x in record.block._asdict().items()}
    arrays = {name: np.ascontiguousarray(x) for name, x in arrays.items()}
    meta = {"schema": SCHEMA, "seed": str(record.seed)}
    path.write_bytes(serialise(arrays | {"logp": record.logp}, metadata=meta))


def load(path: Path) -> Record:
    """Raises InputError when the file is not a record."""
    try:
        with safetensors.safe_open(path, "np") as file:
            meta = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if meta.get("schema") != SCHEMA:
            raise InputError(f"{path} is no record of a session; give what --record wrote")
        block = Block(**{name: arrays[f"block.{name}"] for name in Block._fields})
        return Record(block, arrays["logp"], int(meta["seed"]))
    except (OSError, safetensors.SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path}: {error}; give a whole record of a session") from None


def replay_block(
    cfg: ModelConfig, inputs: Sequence[TurnInput], frames: Sequence[Frame]
) -> Block:
    """A conversation as one block that starts a session: in0 out0 in1 out1 ...

    inputs: what each micro-turn brought; frames: what it emitted, one slot's
    (`Output.frame`). -> numpy arrays, batch of 1, every position valid.
    """
    kind: list[np.ndarray] = []
    token: list[np.ndarray] = []
    row: list[np.ndarray] = []
    patches: list[np.ndarray] = []
    voice: list[np.ndarray] = []
    for k, (turn, frame) in enumerate(zip(inputs, frames, strict=True)):
        packed = pack_turn(cfg, [turn])
        n, m = int(packed.n_valid[0]), int(frame.n)
        kinds, out_kinds = np.asarray(packed.kind[0, :n]), np.asarray(frame.kind[:m])
        rows = packed.row[0, :n]
        rows = np.where(kinds == Kind.AUDIO_IN, rows + AUDIO_PER_TURN * k, rows)
        rows = np.where(kinds == Kind.PATCH, rows + len(patches), rows)
        spoken = out_kinds == Kind.AUDIO_OUT
        out_rows = np.where(spoken, np.cumsum(spoken) - 1 + len(voice), 0)
        kind += [kinds, out_kinds]
        token += [np.asarray(packed.token[0, :n]), np.asarray(frame.token[:m])]
        row += [rows, out_rows]
        patches += [] if turn.patches is None or not turn.live else [*turn.patches]
        voice += [*frame.patches[: spoken.sum()]]
    kind_1T, token_1T, row_1T = (
        np.concatenate(x).astype(np.int32)[None] for x in (kind, token, row)
    )
    return Block(
        kind_1T,
        token_1T,
        row_1T,
        np.concatenate([turn.dmel for turn in inputs])[None],
        np.array(patches, np.float32).reshape(1, -1, 2, cfg.patch, cfg.patch, 3),
        np.array(voice, np.float32).reshape(1, -1, PATCH_DIM),
        np.array([kind_1T.shape[1]], np.int32),
    )


def turn_of(block: Block) -> np.ndarray:
    """Micro-turn of every position of a block of one session. -> int [T]."""
    return np.cumsum(block.kind[0] == Kind.TURN) - 1
