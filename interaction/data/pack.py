"""A dialogue to the arrays of one training row: positions, inputs, labels. No JAX."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from interaction.config import ModelConfig
from interaction.data.dialogue import Dialogue, Word
from interaction.grammar import AUDIO_PER_TURN, MAX_TEXT, MAX_TEXT_IN, Kind
from interaction.modality.audio import (
    HOP,
    MEL_HOP,
    MEL_WINDOW,
    PATCH_DIM,
    SAMPLE_RATE,
    TURN_SAMPLES,
    agent_mel,
    dmel,
)
from interaction.modality.text import Text
from interaction.modality.video import patchify

TURN_S = TURN_SAMPLES / SAMPLE_RATE
HEARD_LAG_S = 0.08  # an AUDIO_IN position names the word of this long before its end
WRITTEN = {"text_in": Kind.USER, "tool": Kind.BACKGROUND}  # lanes that are read
CONTROL = (  # of an output frame, in the grammar's order
    ("clear", Kind.CLEAR), ("break", Kind.BREAK),
    ("delegate", Kind.DELEGATE), ("cancel", Kind.DELEGATE),
)  # fmt: skip
LISTEN = ("user", "side")  # lanes whose words the heard head reports

Row = dict[str, Any]  # arrays by name; `n_valid` is a scalar


@dataclass(frozen=True)
class Shape:
    """Static sizes of a row: positions, and rows of the patch and voice side arrays."""

    positions: int
    patches: int
    audio_out: int


@dataclass
class _Builder:
    """Positions so far. `turn_end` marks where a row may be cut."""

    kind: list[int] = field(default_factory=list)
    token: list[int] = field(default_factory=list)
    index: list[int] = field(default_factory=list)

    def add(self, kind: Kind, token: int, index: int = 0) -> None:
        self.kind.append(int(kind))
        self.token.append(token)
        self.index.append(index)


def heard_labels(
    utterances: Sequence, encode: Callable[[str], list[int]], frames: int, nothing: int
) -> np.ndarray:
    """Token being heard at each AUDIO_IN position. -> int32 [frames].

    A word of several tokens is divided evenly over its time.
    """
    labels = np.full(frames, nothing, np.int32)
    hop = HOP / SAMPLE_RATE
    for utterance in utterances:
        if utterance.lane not in LISTEN:
            continue
        for word in utterance.words:
            ids = encode(word.text)
            first = max(0, int(np.ceil((word.t0 + HEARD_LAG_S) / hop - 1)))
            for i in range(first, frames):
                time = (i + 1) * hop - HEARD_LAG_S
                if time >= word.t1:
                    break
                part = (time - word.t0) / max(word.t1 - word.t0, 1e-6)
                labels[i] = ids[min(int(part * len(ids)), len(ids) - 1)]
    return labels


def _spoken_turns(dialogue: Dialogue, turns: int) -> np.ndarray:
    """Whether output frame k carries agent speech. -> bool [turns]."""
    speaks = np.zeros(turns, bool)
    for utterance in dialogue.utterances:
        if utterance.lane != "agent":
            continue
        end = utterance.t1 if utterance.cut is None else utterance.cut
        first = int(utterance.t0 / TURN_S + 1e-6) - 1
        last = int(np.ceil(end / TURN_S - 1e-6)) - 1
        speaks[max(first, 0) : max(last, 0)] = True
    return speaks


def _text_by_turn(words: Sequence[Word], text: Text, turns: int) -> list[list[int]]:
    """Tokens of each output frame: a word goes to the frame in which it begins to
    sound; what does not fit waits for the next frame."""
    frames: list[list[int]] = [[] for _ in range(turns)]
    for word in sorted(words, key=lambda w: w.t0):
        k = int(word.t0 / TURN_S + 1e-6) - 1
        for token in text.word(word.text):
            while 0 <= k < turns and len(frames[k]) >= MAX_TEXT:
                k += 1
            if 0 <= k < turns:
                frames[k].append(token)
    return frames


def _read_by_turn(
    dialogue: Dialogue, text: Text, turns: int
) -> dict[int, tuple[Kind, list[int]]]:
    """What is read in each turn: some tokens of one channel, others wait, in order. ->
    turn: (channel, tokens)."""
    words = sorted(
        (
            (word.t0, WRITTEN[u.lane], token)
            for u in dialogue.utterances
            if u.lane in WRITTEN
            for word in u.words
            for token in text.word(word.text)
        ),
        key=lambda x: x[0],
    )
    read: dict[int, tuple[Kind, list[int]]] = {}
    k = 0
    for t, channel, token in words:
        k = max(k, int(t / TURN_S + 1e-6))
        while k in read and (read[k][0] != channel or len(read[k][1]) >= MAX_TEXT_IN):
            k += 1
        if k < turns:
            read.setdefault(k, (channel, []))[1].append(token)
    return read


def pack(dialogue: Dialogue, text: Text, cfg: ModelConfig, shape: Shape) -> Row:
    """One row, cut at the last whole micro-turn that fits `shape`.

    kind, token, index int32 [T]; n_valid int32 []; dmel uint8 [A, 80]; heard int32 [A];
    patches float32 [P, 2, 40, 40, 3]; voice float32 [O, 320] (log10 mel, not
    standardised); voice_at int32 [O]: the position whose hidden state predicts the patch
    (-1: no patch); voice_first bool [O]: first patch of an utterance.
    """
    turns = dialogue.turns
    control: dict[int, set[str]] = defaultdict(set)
    for t, what in dialogue.control:
        control[round(t / TURN_S) - 1].add(what)
    frames = {round(t / TURN_S): pair for t, pair in dialogue.frames}
    speaks = _spoken_turns(dialogue, turns)
    words = [w for u in dialogue.utterances if u.lane == "agent" for w in u.words]
    texts = _text_by_turn(words, text, turns)
    read = _read_by_turn(dialogue, text, turns)
    at = cfg.controls_at
    build, cut = _Builder(), (0, 0, 0)
    voice: list[np.ndarray] = []
    voice_at: list[int] = []
    voice_first: list[bool] = []
    patches: list[np.ndarray] = []

    for k in range(turns):
        build.add(Kind.TURN, at + Kind.TURN)
        if k in read:
            channel, tokens = read[k]
            for token in (at + channel, *tokens):
                build.add(Kind.TEXT_IN, token)
        if k in frames:
            build.add(Kind.IMG, at + Kind.IMG)
            for patch in patchify(frames[k], cfg.patch):
                build.add(Kind.PATCH, at + Kind.PATCH, len(patches))
                patches.append(patch)
        for a in range(AUDIO_PER_TURN):
            build.add(Kind.AUDIO_IN, at + Kind.AUDIO_IN, k * AUDIO_PER_TURN + a)
        for what, kind in CONTROL:
            if what in control[k]:
                build.add(kind, at + kind)
        directive = text.word("cancel") if "cancel" in control[k] else []
        for token in directive + texts[k]:
            build.add(Kind.TEXT, token)
        if speaks[k]:
            build.add(Kind.SPEAK, at + Kind.SPEAK)
            for patch in _turn_mel(dialogue.agent, k):
                voice_at.append(len(build.kind) - 1)
                voice_first.append(not (k and speaks[k - 1]) and len(voice) % 4 == 0)
                build.add(Kind.AUDIO_OUT, at + Kind.AUDIO_OUT, len(voice))
                voice.append(patch)
        else:
            build.add(Kind.SILENT, at + Kind.SILENT)
        if (
            len(build.kind) > shape.positions
            or len(patches) > shape.patches
            or len(voice) > shape.audio_out
        ):
            break
        cut = (len(build.kind), len(patches), len(voice))

    n, n_patches, n_voice = cut

    def fit(values: Sequence[int], size: int, n: int, fill: int = 0) -> np.ndarray:
        whole = np.full(size, fill, np.int32)
        whole[:n] = values[:n]
        return whole

    side = cfg.patch
    patch_rows = np.zeros((shape.patches, 2, side, side, 3), np.float32)
    if n_patches:
        patch_rows[:n_patches] = patches[:n_patches]
    voice_rows = np.zeros((shape.audio_out, PATCH_DIM), np.float32)
    if n_voice:
        voice_rows[:n_voice] = voice[:n_voice]
    nothing = at + Kind.NOTHING
    return {
        "kind": fit(build.kind, shape.positions, n),
        "token": fit(build.token, shape.positions, n, at),
        "index": fit(build.index, shape.positions, n),
        "n_valid": np.int32(n),
        "dmel": dmel(dialogue.user),
        "heard": heard_labels(
            dialogue.utterances, text.word, turns * AUDIO_PER_TURN, nothing
        ),
        "patches": patch_rows,
        "voice": voice_rows,
        "voice_at": fit(voice_at, shape.audio_out, n_voice, -1),
        "voice_first": fit(voice_first, shape.audio_out, n_voice).astype(bool),
    }


def shapes(
    cfg: ModelConfig, shape: Shape, turns: int
) -> dict[str, tuple[tuple[int, ...], type]]:
    """Shape and dtype of what `pack` makes of a dialogue of so many micro-turns."""
    frames, side = turns * AUDIO_PER_TURN, cfg.patch
    return {
        "kind": ((shape.positions,), np.int32),
        "token": ((shape.positions,), np.int32),
        "index": ((shape.positions,), np.int32),
        "n_valid": ((), np.int32),
        "dmel": ((frames, cfg.mels), np.uint8),
        "heard": ((frames,), np.int32),
        "patches": ((shape.patches, 2, side, side, 3), np.float32),
        "voice": ((shape.audio_out, PATCH_DIM), np.float32),
        "voice_at": ((shape.audio_out,), np.int32),
        "voice_first": ((shape.audio_out,), np.bool_),
    }


def _turn_mel(agent: np.ndarray, k: int) -> np.ndarray:
    """Mel of output frame k, which sounds in turn k + 1. -> float32 [4, 320]."""
    start = (k + 1) * TURN_SAMPLES
    wave = agent[start : start + TURN_SAMPLES + MEL_WINDOW - MEL_HOP]
    wave = np.pad(wave, (0, TURN_SAMPLES + MEL_WINDOW - MEL_HOP - len(wave)))
    return agent_mel(wave)[: TURN_SAMPLES // MEL_HOP].reshape(AUDIO_PER_TURN, PATCH_DIM)
