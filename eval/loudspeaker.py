"""What has come of a system's voice over a connection, and plays when its time has come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import soxr

from eval.agent import SILENCE, Said
from interaction.modality.audio import SAMPLE_RATE, TURN_SAMPLES


class Rate:
    """float32 from one rate to another, as a stream; holds back at most 20 ms."""

    def __init__(self, source: int, target: int) -> None:
        self._soxr = None
        if source != target:
            self._soxr = soxr.ResampleStream(source, target, 1, "float32", quality="LQ")

    def push(self, wave: np.ndarray) -> np.ndarray:
        wave = np.asarray(wave, np.float32)
        return wave if self._soxr is None else self._soxr.resample_chunk(wave)


def pcm16(wave: np.ndarray) -> bytes:
    """float32 [n], clipped, as little-endian PCM."""
    return (np.clip(wave, -1.0, 32767 / 32768) * 32768).round().astype("<i2").tobytes()


class Loudspeaker:
    """Filled in a connection's thread, emptied in the run's, a turn at a time.

    Sound plays in the order in which it came, from the beginning of a turn where nothing
    was playing. Words belong to the piece of sound that came last before them: they are
    said in the turn in which that piece begins, and with those that come when it has
    begun, in the next. rate: of the sound that comes. now: seconds.
    """

    def __init__(self, rate: int, now: Callable[[], float] = time.monotonic) -> None:
        self._lock, self._now = threading.Lock(), now
        self._rate, self._to_ours = rate, Rate(rate, SAMPLE_RATE)
        self._wave = np.zeros(0, np.float32)
        self._piece = 0  # where the last piece begins; below 0: it has begun
        self._words: list[tuple[int, str]] = []  # with their piece's beginning
        self._calls: list[tuple[str, dict[str, Any]]] = []
        self._cleared = False
        self._since: float | None = None  # when what waits began to play
        self._listened = False

    @property
    def waiting_s(self) -> float:
        """Of sound that has not played."""
        with self._lock:
            return len(self._wave) / SAMPLE_RATE

    def play(self, wave: np.ndarray) -> None:
        """A piece: float32 [n] at the system's rate."""
        wave = self._to_ours.push(wave)
        with self._lock:
            if not len(self._wave):
                self._since = self._now()
            self._piece = len(self._wave)
            self._wave = np.concatenate([self._wave, wave])

    def play_pcm(self, data: bytes) -> None:
        """The same as little-endian PCM16."""
        self.play(np.frombuffer(data, "<i2").astype(np.float32) / 32768.0)

    def write(self, text: str) -> None:
        """Words, with their spaces."""
        with self._lock:
            self._words.append((self._piece, text))

    def call(self, name: str, arguments: dict[str, Any]) -> None:
        with self._lock:
            self._calls.append((name, arguments))

    def clear(self) -> None:
        """The system yields: what has not begun to play never does, nor do its words."""
        with self._lock:
            self._cleared |= len(self._wave) > 0
            self._wave = self._wave[:0]
            self._words = [(at, text) for at, text in self._words if at < 0]
            self._piece = min(self._piece, 0)
            self._to_ours = Rate(self._rate, SAMPLE_RATE)

    def turn(self) -> Said:
        """What plays in the next 200 ms."""
        with self._lock:
            if not self._listened:
                self._begin()
            now, self._wave = self._wave[:TURN_SAMPLES], self._wave[TURN_SAMPLES:]
            said = Said(
                np.concatenate([now, SILENCE[len(now) :]]),
                "".join(text for at, text in self._words if at < TURN_SAMPLES),
                tuple(self._calls),
                self._cleared,
            )
            later = [(at, text) for at, text in self._words if at >= TURN_SAMPLES]
            self._words = [(at - TURN_SAMPLES, text) for at, text in later]
            self._piece -= TURN_SAMPLES
            self._calls, self._cleared = [], False
            return said

    def _begin(self) -> None:
        """What came before the first turn has played by now, as far as there was time."""
        self._listened = True
        if self._since is not None:
            passed = round((self._now() - self._since) * SAMPLE_RATE)
            self._wave = self._wave[passed:]
            self._words = [(at - passed, text) for at, text in self._words]
            self._piece -= passed
