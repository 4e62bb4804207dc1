"""Several sessions in one row, which see nothing of each other.

Each begins at a multiple of `kv_split`, with positions of no kind before it, so that its
sums are those that it has alone (`ops.attention`). `age` tells them apart: positions since
a position's session began.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from interaction.config import ModelConfig
from interaction.data.dialogue import Dialogue
from interaction.data.pack import Row, Shape, pack, shapes
from interaction.grammar import AUDIO_PER_TURN, Kind
from interaction.modality.text import Text


def pack_together(
    dialogues: Iterable[Dialogue], text: Text, cfg: ModelConfig, shape: Shape, turns: int
) -> Row:
    """As `pack` makes of one, and `age`, int32 [T]. turns: of all dialogues, at most. What
    does not fit is cut at a whole micro-turn."""
    row = _empty(cfg, shape, turns)
    n = turn = patches = voice = 0
    for dialogue in dialogues:
        start = -(-(n + 1) // cfg.kv_split) * cfg.kv_split if n else 0
        room = Shape(
            shape.positions - start, shape.patches - patches, shape.audio_out - voice
        )
        if min(room.positions, turns - turn) <= 0:
            break
        one = pack(dialogue, text, cfg, room)
        kept = int((one["kind"] == Kind.AUDIO_IN).sum()) // AUDIO_PER_TURN
        if turn + kept > turns:
            raise ValueError(f"{turn + kept} micro-turns for a row of {turns}")
        if not kept:
            break
        n = start + int(one["n_valid"])
        shown, said = _place(row, one, start, turn, kept, patches, voice)
        turn, patches, voice = turn + kept, patches + shown, voice + said
    return row | {"n_valid": np.int32(n)}


def _empty(cfg: ModelConfig, shape: Shape, turns: int) -> Row:
    row: Row = {
        name: np.zeros(size, dtype)
        for name, (size, dtype) in shapes(cfg, shape, turns).items()
    }
    row["token"][:] = cfg.controls_at
    row["heard"][:] = cfg.controls_at + Kind.NOTHING
    row["voice_at"][:] = -1
    return row | {"age": np.zeros(shape.positions, np.int32)}


def _place(
    row: Row, one: Row, start: int, turn: int, turns: int, patches: int, voice: int
) -> tuple[int, int]:
    """Copy a session's own row to its place. -> its patches, of pictures and of voice."""
    n = int(one["n_valid"])
    at, kind = slice(start, start + n), one["kind"][:n]
    before = np.zeros(n, np.int32)
    for of, count in (
        (Kind.AUDIO_IN, turn * AUDIO_PER_TURN),
        (Kind.PATCH, patches),
        (Kind.AUDIO_OUT, voice),
    ):
        before[kind == of] = count
    row["kind"][at], row["token"][at] = kind, one["token"][:n]
    row["index"][at] = one["index"][:n] + before
    row["age"][at] = np.arange(n)
    heard = slice(turn * AUDIO_PER_TURN, (turn + turns) * AUDIO_PER_TURN)
    for name in ("dmel", "heard"):
        row[name][heard] = one[name][: turns * AUDIO_PER_TURN]
    shown, said = int((kind == Kind.PATCH).sum()), int((one["voice_at"] >= 0).sum())
    row["patches"][patches : patches + shown] = one["patches"][:shown]
    for name in ("voice", "voice_first"):
        row[name][voice : voice + said] = one[name][:said]
    row["voice_at"][voice : voice + said] = one["voice_at"][:said] + start
    return shown, said
