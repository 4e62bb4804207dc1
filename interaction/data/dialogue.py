"""A two-channel dialogue with its truth: the one form all data takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from interaction.modality.audio import TURN_SAMPLES

Lane = Literal["user", "agent", "side", "background", "text_in", "tool"]


@dataclass(frozen=True)
class Word:
    """One word and when it sounds, in seconds."""

    text: str
    t0: float
    t1: float


@dataclass(frozen=True)
class Utterance:
    """Words said in one go.

    Lanes: "user" speaks to the agent, "side" is the user (or someone as near to the
    microphone) speaking to somebody else, "background" is a faint other voice,
    "text_in" and "tool" are written, not spoken: by the user (real corpora only), and by
    the background model; their words come at t0.
    `cut` is when the agent's speech was cut off by a barge-in; words that had not
    begun by then are not in `words`.
    """

    lane: Lane
    words: tuple[Word, ...]
    t0: float
    t1: float
    cut: float | None = None

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True)
class Exchange:
    """What was asked and what had to happen: the truth that scoring uses.

    answer: the words the agent says; with a `barge_in`, those it began before it
        yielded. None: the agent must stay silent.
    onset: when the answer's sound begins, always a multiple of 0.2 s.
    seen: whether training contains this combination of words (or this picture).
    pauses: silences inside the question.
    barge_in: when the user began to speak over the answer.
    frames: whether the answer is in the picture.
    """

    task: str
    utterance_t0: float
    question_end: float
    answer: str | None
    onset: float | None
    seen: bool = True
    pauses: tuple[tuple[float, float], ...] = ()
    barge_in: float | None = None
    frames: bool = False


@dataclass(frozen=True, eq=False)
class Dialogue:
    """Both sides of a conversation on one clock (seconds from its start).

    user, agent: f32[N] at 16 kHz, N a multiple of 3200.
    frames: (t, uint8[2, H, W, 3]) pairs of camera frames; t is a multiple of 0.2 s,
        and the pair is part of the input of micro-turn round(t / 0.2).
    control: (t, "clear") when the agent yields, (t, "break") at the first output
        frame after an utterance that ended by itself, (t, "delegate") when it hands a
        question over, (t, "cancel") when it calls that off; t is a multiple of 0.2 s.
    """

    id: str
    user: np.ndarray
    agent: np.ndarray
    frames: tuple[tuple[float, np.ndarray], ...] = ()
    utterances: tuple[Utterance, ...] = ()
    control: tuple[tuple[float, str], ...] = ()
    exchanges: tuple[Exchange, ...] = ()

    @property
    def turns(self) -> int:
        return len(self.user) // TURN_SAMPLES
