"""What a microphone and a camera take down for a synthetic sample.

People's words at chosen times, in one room; pictures that a function of time draws. All of
it depends on the task's name, the seed and the sample's number alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from eval.sample import TURN_S, Span
from interaction.data.acoustics import SPEECH_RMS, decibels, in_room, level, sample_room
from interaction.data.espeak import speak
from interaction.data.scenes.picture import HEIGHT, WIDTH
from interaction.data.stage import ONSET_MARGIN, YIELD_MARGIN, turn_from
from interaction.data.voices import Voice, sample_user_voice
from interaction.modality.audio import SAMPLE_RATE

Frames = tuple[tuple[float, np.ndarray], ...]
NOISE = np.float32(4)  # grey levels
_Y, _X = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)


@dataclass(frozen=True)
class Uttered:
    """Words said in one go, each with its times."""

    words: tuple[Span, ...]

    @property
    def t0(self) -> float:
        return self.words[0].t0

    @property
    def t1(self) -> float:
        return self.words[-1].t1

    @property
    def span(self) -> Span:
        return Span(" ".join(word.text for word in self.words), self.t0, self.t1)


class Scene:
    """id: the sample's; rng: for whatever the task draws; user, stranger: voices that no
    checkpoint of ours was trained on; spans: what the user has said so far."""

    def __init__(self, task: str, seed: int, index: int) -> None:
        self.id = f"{task.removesuffix('_synth')}-{index:04}"
        self.rng = np.random.default_rng([seed, index, zlib.crc32(task.encode())])
        self.user = sample_user_voice(self.rng, held_out=True)
        self.stranger = sample_user_voice(self.rng, held_out=True)
        self.spans: list[Span] = []
        self._room = sample_room(self.rng)
        self._db = self.rng.uniform(-2, 2)
        self._sounds: list[tuple[int, np.ndarray]] = []

    def say(
        self, words: Iterable[str], t: float, voice: Voice | None = None, db: float = 0.0
    ) -> Uttered:
        """Words from `t` seconds on, by the user, or in another voice. db: against the
        user's usual level."""
        spoken = speak(tuple(words), voice or self.user)
        start = round(t * SAMPLE_RATE)
        wave = level(spoken.wave, SPEECH_RMS * decibels(self._db + db))
        self._sounds.append((start, wave))
        t = start / SAMPLE_RATE
        uttered = Uttered(tuple(Span(w.text, t + w.t0, t + w.t1) for w in spoken.words))
        if voice is None:
            self.spans.append(uttered.span)
        return uttered

    def audio(self, seconds: float) -> np.ndarray:
        """float32 [N] at 16 kHz: `seconds` and what is missing to a whole turn."""
        dry = np.zeros(turn_from(round(seconds * SAMPLE_RATE)), np.float32)
        for start, wave in self._sounds:
            dry[start : start + len(wave)] += wave[: len(dry) - start]
        return in_room(dry, np.zeros_like(dry), self._room, self.rng)


def onset(end: float) -> float:
    """The turn in which an ideal answer to what ended at `end` begins to sound."""
    return turn_from(round(end * SAMPLE_RATE) + ONSET_MARGIN) / SAMPLE_RATE


def yielding(t: float) -> float:
    """The turn from which an ideal system is silent when it is interrupted at `t`."""
    return turn_from(round(t * SAMPLE_RATE) + YIELD_MARGIN) / SAMPLE_RATE


def next_turn(t: float) -> float:
    """The first turn boundary at or behind `t`."""
    return turn_from(round(t * SAMPLE_RATE)) / SAMPLE_RATE


def canvas(grey: float) -> np.ndarray:
    """float32 [40, 80, 3], 0..255."""
    return np.full((HEIGHT, WIDTH, 3), grey, np.float32)


def disc(y: float, x: float, radius: float) -> np.ndarray:
    """bool [40, 80]."""
    return (_Y - y) ** 2 + (_X - x) ** 2 < radius**2


def square(y: float, x: float, half: float) -> np.ndarray:
    """bool [40, 80]."""
    return np.maximum(np.abs(_Y - y), np.abs(_X - x)) < half


def film(
    seconds: float, draw: Callable[[float], np.ndarray], rng: np.random.Generator
) -> Frames:
    """A pair of frames a turn, as many turns as `audio` has, with a camera's noise: what
    `draw` shows at the end of the turn's first half and at its end."""
    pairs = []
    for k in range(round(next_turn(seconds) / TURN_S)):
        t = k * TURN_S
        pair = np.stack([draw(t + TURN_S / 2), draw(t + TURN_S)])
        pair += NOISE * rng.standard_normal(pair.shape, np.float32)
        pairs.append((round(t, 3), np.clip(pair, 0, 255).astype(np.uint8)))
    return tuple(pairs)
