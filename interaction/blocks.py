"""Host side of a micro-turn: what a turn brings, packed into one fixed block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from interaction.config import ModelConfig
from interaction.grammar import AUDIO_PER_TURN, MAX_TEXT_IN, Kind
from interaction.modality.audio import MELS
from interaction.model import Block

SHORT = 8  # positions of the block for turns without video and with little text


@dataclass(frozen=True)
class TurnInput:
    """One slot's input. dmel: uint8 [4, 80]; patches: float32 [P, 2, 40, 40, 3] or None;
    text: token ids typed to the agent, at most MAX_TEXT_IN; live: False sits it out."""

    dmel: np.ndarray
    patches: np.ndarray | None = None
    text: tuple[int, ...] = ()
    channel: Kind = Kind.USER
    live: bool = True


@dataclass
class _Positions:
    kind: list[int] = field(default_factory=list)
    token: list[int] = field(default_factory=list)
    row: list[int] = field(default_factory=list)

    def add(self, kind: Kind, token: int, row: int = 0) -> None:
        self.kind.append(int(kind))
        self.token.append(token)
        self.row.append(row)


def _positions(cfg: ModelConfig, turn: TurnInput) -> _Positions:
    slot, at = _Positions(), cfg.controls_at
    if not turn.live:
        return slot
    slot.add(Kind.TURN, at + Kind.TURN)
    if turn.text:
        slot.add(Kind.TEXT_IN, at + turn.channel)
        for token in turn.text[:MAX_TEXT_IN]:
            slot.add(Kind.TEXT_IN, token)
    if turn.patches is not None:
        slot.add(Kind.IMG, at + Kind.IMG)
        for i in range(len(turn.patches)):
            slot.add(Kind.PATCH, at + Kind.PATCH, i)
    for i in range(AUDIO_PER_TURN):
        slot.add(Kind.AUDIO_IN, at + Kind.AUDIO_IN, i)
    return slot


def sizes(cfg: ModelConfig) -> tuple[tuple[int, int], ...]:
    """(positions, patches) of the two blocks that `ingest` is compiled for."""
    long = -(-cfg.max_ingest // 8) * 8
    return (SHORT, 0), (long, cfg.patches_per_frame)


def pack_turn(cfg: ModelConfig, turns: Sequence[TurnInput]) -> Block:
    """The smallest block that holds every slot's turn, valid positions to the left."""
    slots = [_positions(cfg, turn) for turn in turns]
    video = any(turn.live and turn.patches is not None for turn in turns)
    longest = max(len(slot.kind) for slot in slots)
    T, P = sizes(cfg)[int(video or longest > SHORT)]
    B = len(slots)
    kind = np.zeros((B, T), np.int32)
    token = np.full((B, T), cfg.controls_at, np.int32)
    row = np.zeros((B, T), np.int32)
    patches = np.zeros((B, P, 2, cfg.patch, cfg.patch, 3), np.float32)
    for b, (slot, turn) in enumerate(zip(slots, turns, strict=True)):
        n = len(slot.kind)
        kind[b, :n], token[b, :n], row[b, :n] = slot.kind, slot.token, slot.row
        if turn.live and turn.patches is not None:
            patches[b, : len(turn.patches)] = turn.patches
    return Block(
        kind,
        token,
        row,
        np.stack([turn.dmel for turn in turns]),
        patches,
        np.zeros((B, 0, AUDIO_PER_TURN * MELS), np.float32),
        np.array([len(slot.kind) for slot in slots], np.int32),
    )
