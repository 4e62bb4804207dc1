"""Which word is this sound? Nearest template under dynamic time warping of mels.

A deliberately plain judge for synthetic speech: it shares nothing with the model, so a
word that it recognises really is in the sound.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from interaction.errors import InputError
from interaction.modality.audio import agent_mel

STRIDE = 2  # frames of 12.5 ms: compare every 25 ms
RANGE = 4.0  # log10 below the loudest band that still counts: 80 dB
EDGE = 2.0  # log10 below the loudest frame at which a word begins and ends: 40 dB


def features(wave: np.ndarray) -> np.ndarray:
    """float32 [N] at 16 kHz -> float32 [T, 80]: mel of the word, silence cut, levelled.

    T >= 1. Level is removed by one number for the whole word, not by band, because a
    word has too few phones for the mean of a band to be the channel.
    """
    wave = np.asarray(wave, np.float32)
    mel = agent_mel(np.pad(wave, (600, 600 + -len(wave) % 200)))
    level = mel.max(1)
    loud = np.flatnonzero(level > level.max() - EDGE)
    mel = mel[loud[0] : loud[-1] + 1]
    mel = np.maximum(mel, mel.max() - RANGE)
    return (mel - mel.mean())[::STRIDE]


class WordTemplates:
    """One recording of each word; `identify` finds the nearest."""

    def __init__(self, waves: Mapping[str, np.ndarray]) -> None:
        """`waves`: word -> float32 [N]. `InputError` where there is none."""
        if not waves:
            raise InputError("word templates: none given; give one wave a word")
        self.words = tuple(waves)
        shapes = [features(wave) for wave in waves.values()]
        self._lengths = np.array([len(x) for x in shapes])
        self._templates = np.zeros((len(shapes), max(self._lengths), 80), np.float32)
        for row, x in zip(self._templates, shapes, strict=True):
            row[: len(x)] = x

    def distances(self, wave: np.ndarray) -> np.ndarray:
        """float32 [N] -> float32 [words]: mean log10 distance along the best path."""
        x = features(wave)
        flat = self._templates.reshape(-1, 80)
        squares = np.square(x).sum(1)[:, None] + np.square(flat).sum(1) - 2 * x @ flat.T
        cost = np.sqrt(np.maximum(squares, 0.0) / 80)
        cost = cost.reshape(len(x), len(self.words), -1).transpose(1, 0, 2)
        total = _warp(cost)[np.arange(len(self.words)), self._lengths - 1]
        return total / (len(x) + self._lengths)

    def identify(self, wave: np.ndarray) -> tuple[str, float]:
        """float32 [N] -> (nearest word, its distance in log10 a band)."""
        distances = self.distances(wave)
        best = int(np.argmin(distances))
        return self.words[best], float(distances[best])


def _warp(cost: np.ndarray) -> np.ndarray:
    """Symmetric warping (Sakoe-Chiba P=0): cost [K, N, M] -> totals [K, M] after N.

    By anti-diagonals, all templates at once. A diagonal step costs its cell twice, so
    that every path of the same end has the same weight, N + M.
    """
    k, n, m = cost.shape
    total = np.full((k, n + 1, m + 1), np.inf, np.float32)
    total[:, 0, 0] = 0.0
    for d in range(2, n + m + 1):
        i = np.arange(max(1, d - m), min(n, d - 1) + 1)
        j = d - i
        here = cost[:, i - 1, j - 1]
        beside = np.minimum(total[:, i - 1, j], total[:, i, j - 1]) + here
        total[:, i, j] = np.minimum(beside, total[:, i - 1, j - 1] + 2 * here)
    return total[:, n, 1:]
