"""Words of the synthetic world from sound: connected template matching.

Some of training's voices have said every word in its places of a sentence; what is heard
is matched with sequences of their words that make one, all of one voice, by dynamic time
warping. It knows those sentences and no others: what resembles none is not understood.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.fft

from interaction.data.espeak import speak
from interaction.data.scenes.words import CUES, ECHOED, HUSHES, NUMBERS
from interaction.data.voices import TRAIN_VOICES, Voice
from interaction.modality.audio import SAMPLE_RATE, agent_mel

VOICES = TRAIN_VOICES[::4]
STRIDE = 2  # frames of 12.5 ms: match every 25 ms
RANGE = 1.75  # log10 below the loudest band that counts: 35 dB, above most noise
SHAPES = 16  # coefficients of a frame's spectrum, its level first
LEVEL = 0.3  # weight of the level
STAY, SKIP = 0.05, 0.05  # for a warp that is not one to one
WORSE = 0.55  # no match: of training's voices, 2% of what is meant, 70% of what is not

N = NUMBERS[1:11]
SENTENCES: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("say", "repeat"), ECHOED),
    (("say", "repeat"), ECHOED, ECHOED),
    (("say", "repeat"), ECHOED, ECHOED, ECHOED),
    (("say",), CUES, ("in",), N, ("second", "seconds")),
    (("what",), ("is",), N, ("plus", "minus"), N),
    (("what",), ("color",), ("is",), ("it",)),
    (("what",), ("color",), ("do",), ("you",), ("see",)),
    (("how",), ("many",), ("are",), ("there",)),
    (("how",), ("many",), ("do",), ("you",), ("see",)),
    (("count",), ("to",), N),
    *(tuple((word,) for word in hush) for hush in HUSHES),
)  # fmt: skip


class Arc(NamedTuple):
    """A word between two states of what has been said. State 0 is the beginning."""

    word: str
    source: int
    target: int


class Script(NamedTuple):
    """What the voices say to give templates: each sentence's words are arcs, in order.
    ends: states of whole sentences."""

    sentences: tuple[tuple[Arc, ...], ...]
    ends: frozenset[int]


def script() -> Script:
    """Every word of a set once in every place that the set has in a sentence."""
    sentences: list[tuple[Arc, ...]] = [(Arc("please", 0, 0), Arc("say", 0, 1))]
    states: dict[tuple, int] = {SENTENCES[0][:1]: 1}
    ends = set()
    for sentence in SENTENCES:
        path = [0]
        for i in range(len(sentence)):
            path.append(states.setdefault(sentence[: i + 1], len(states) + 1))
        ends.add(path[-1])
        for k in range(max(map(len, sentence))):
            chosen = [words[(k + 7 * i) % len(words)] for i, words in enumerate(sentence)]
            arcs = zip(chosen, path[:-1], path[1:], strict=True)
            sentences.append(tuple(Arc(*arc) for arc in arcs))
    return Script(tuple(sentences), frozenset(ends))


def features(wave: np.ndarray) -> np.ndarray:
    """float32 [N] at 16 kHz -> float32 [T, 16], one every 25 ms: shapes of spectra, above
    the noise."""
    wave = np.asarray(wave, np.float32)
    mel = agent_mel(np.pad(wave, (600, 600 + -len(wave) % 200)))[::STRIDE]
    mel = np.maximum(mel, mel.max() - RANGE) - (mel.max() - RANGE)
    shapes = scipy.fft.dct(mel, axis=1, norm="ortho")[:, :SHAPES]
    shapes[:, 0] *= LEVEL
    return shapes.astype(np.float32)


def cut(arcs: Sequence[Arc], voice: Voice) -> list[np.ndarray]:
    """The features of each word of a sentence as a voice says it."""
    spoken = speak([arc.word for arc in arcs], voice)
    x = features(spoken.wave)
    at = [round((SAMPLE_RATE * word.t0 + 200) / 200 / STRIDE) for word in spoken.words]
    ends = [*at[1:], len(x)]
    return [x[min(a, b - 1, len(x) - 1) : b] for a, b in zip(at, ends, strict=True)]


class Heard(NamedTuple):
    """whole: a sentence, and not its beginning; distance: of a frame on average, beyond
    that from the nearest sounds in any order."""

    words: tuple[str, ...]
    whole: bool
    distance: float


class Recogniser:
    def __init__(self, voices: Sequence[Voice] = VOICES) -> None:
        said = script()
        self._ends = said.ends
        self._arcs = [arc for sentence in said.sentences for arc in sentence]
        shapes = [[x for s in said.sentences for x in cut(s, v)] for v in voices]
        self._lengths = np.array([[len(x) for x in row] for row in shapes]).T
        shape = (*self._lengths.shape, self._lengths.max(), SHAPES)
        self._templates = np.zeros(shape, np.float32)  # [arcs, voices, frames, ...]
        for v, row in enumerate(shapes):
            for a, x in enumerate(row):
                self._templates[a, v, : len(x)] = x
        self._sources = np.array([arc.source for arc in self._arcs])
        targets = np.array([arc.target for arc in self._arcs])
        self._states = int(targets.max()) + 1
        into = [np.flatnonzero(targets == state) for state in range(self._states)]
        self._into = np.full((self._states, max(map(len, into))), len(self._arcs))
        for each, arcs in zip(self._into, into, strict=True):
            each[: len(arcs)] = arcs

    def __call__(self, wave: np.ndarray) -> Heard:
        """float32 [N] at 16 kHz: a turn of speech."""
        x = features(wave)
        costs, silence = self._costs(x)
        scores, arcs, begins = self._search(costs, silence)
        voice, state = np.unravel_index(np.argmin(scores[-1]), scores[-1].shape)
        words = self._trace(arcs, begins, len(x) - 1, int(voice), int(state))
        any_order = float(costs.min((1, 2, 3)).mean())
        distance = float(scores[-1, voice, state]) / len(x) - any_order
        return Heard(words, int(state) in self._ends, distance)

    def _costs(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """-> float32 [T, arcs, voices, frames], and of silence [T]."""
        flat = self._templates.reshape(-1, SHAPES)
        squares = np.square(x).sum(1)
        far = squares[:, None] + np.square(flat).sum(1) - 2 * x @ flat.T
        costs = np.sqrt(np.maximum(far, 0.0)).reshape(len(x), *self._templates.shape[:3])
        return costs, np.sqrt(squares)

    def _search(
        self, costs: np.ndarray, silence: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """-> of each frame, voice and state: the least cost to be there, by which arc, and
        after which frame that arc began. Arc -1: silence."""
        n, *shape = costs.shape
        voices = shape[1]
        path = np.full(shape, np.inf, np.float32)
        since = np.zeros(shape, np.int32)
        scores = np.full((n, voices, self._states), np.inf, np.float32)
        arcs = np.full(scores.shape, -1, np.int32)
        begins = np.zeros(scores.shape, np.int32)
        there = np.full((voices, self._states), np.inf, np.float32)
        there[:, 0] = 0.0
        lasts = (self._lengths - 1)[..., None]  # [arcs, voices, 1]
        for t in range(n):
            path, since = _step(path, since, there[:, self._sources].T, t)
            path += costs[t]
            if t:
                arcs[t], begins[t] = arcs[t - 1], begins[t - 1]
            ended = np.take_along_axis(path, lasts, 2)[..., 0]
            cost, arc = self._best(ended)
            begun = np.take_along_axis(since, lasts, 2)[arc, np.arange(voices)[:, None], 0]
            there = there + silence[t]
            better = cost < there
            there = np.where(better, cost, there)
            arcs[t] = np.where(better, arc, arcs[t])
            begins[t] = np.where(better, begun, begins[t])
            scores[t] = there
        return scores, arcs, begins

    def _best(self, ended: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """float32 [arcs, voices] -> of each voice and state, the least cost of an arc into
        it, and the arc."""
        none = np.full((1, ended.shape[1]), np.inf, np.float32)
        into = np.concatenate([ended, none])[self._into]  # [states, most, voices]
        best = into.argmin(1)
        cost = np.take_along_axis(into, best[:, None], 1)[:, 0]
        arc = np.take_along_axis(self._into, best, 1)
        return cost.T, np.minimum(arc, len(ended) - 1).T

    def _trace(
        self, arcs: np.ndarray, begins: np.ndarray, t: int, voice: int, state: int
    ) -> tuple[str, ...]:
        words: list[str] = []
        while t >= 0 and (arc := int(arcs[t, voice, state])) >= 0:
            words.append(self._arcs[arc].word)
            t, state = int(begins[t, voice, state]) - 1, self._arcs[arc].source
        return tuple(reversed(words))


def _step(
    path: np.ndarray, since: np.ndarray, entry: np.ndarray, t: int
) -> tuple[np.ndarray, np.ndarray]:
    """One frame on: a template's frame again, its next, or the one after that."""
    best, origin = path + STAY, since.copy()
    for cost, come, at in (
        (path[..., :-1], since[..., :-1], slice(1, None)),
        (path[..., :-2] + SKIP, since[..., :-2], slice(2, None)),
        (entry[..., None], np.int32(t), slice(0, 1)),
    ):
        better = cost < best[..., at]
        best[..., at] = np.where(better, cost, best[..., at])
        origin[..., at] = np.where(better, come, origin[..., at])
    return best, origin


@functools.cache
def recogniser() -> Recogniser:
    """Made once a process: some seconds."""
    return Recogniser()
