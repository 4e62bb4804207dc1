"""One person's uneven stream of sound, made into turns on a clock that waits for nobody.

The clock belongs to the conversation. What has not come when its turn is taken is silence,
and is told (`Taken.missing`); what comes after its turn is dropped; so sound stays where it
was said, and the lag of a line never grows beyond its bound.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import NamedTuple

import numpy as np

from interaction.modality.audio import SAMPLE_RATE, TURN_SAMPLES


class Taken(NamedTuple):
    """wave: float32 [3200]; missing: of its samples, how many are silence in place of
    sound that had not come."""

    wave: np.ndarray
    missing: int


class Pace:
    """How evenly sound comes: `uneven_s`, for each piece after the first, by how much the
    time since the one before differs from their distance in the stream; the newest."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self.uneven_s: deque[float] = deque(maxlen=1_000)

    def came(self, at_s: float) -> None:
        """A piece that ends there in its stream."""
        now = time.monotonic()
        if self._last:
            self.uneven_s.append(abs((now - self._last[0]) - (at_s - self._last[1])))
        self._last = now, at_s


class Stream:
    """Sound that is appended, with no word of when it was said: it follows on from what
    came before. `most`: samples that may wait beyond a turn; older ones are dropped."""

    def __init__(self, most: int = TURN_SAMPLES) -> None:
        self._most = most
        self._waiting = np.zeros(0, np.float32)
        self.begun = False
        self.pace, self._written = Pace(), 0
        self._lock = threading.Lock()  # written in one thread, taken in another
        self.delay = 0
        self.dropped = {"late": 0.0}  # turns' worth of samples

    def write(self, wave: np.ndarray) -> None:
        """float32 [n]."""
        if len(wave):
            self._written += len(wave)
            self.pace.came(self._written / SAMPLE_RATE)
        with self._lock:
            self.begun |= len(wave) > 0
            self._waiting = np.concatenate([self._waiting, wave])
            self._keep(self._most + TURN_SAMPLES)

    @property
    def waiting(self) -> float:
        """Turns of sound."""
        return len(self._waiting) / TURN_SAMPLES

    def clear(self) -> None:
        """Drop what waits, by the sender's wish."""
        with self._lock:
            self._waiting = self._waiting[:0]

    def take(self) -> Taken:
        """The next turn. Before the first sound nothing is missing."""
        with self._lock:
            wave = self._waiting[:TURN_SAMPLES]
            self._waiting = self._waiting[TURN_SAMPLES:]
        short = TURN_SAMPLES - len(wave)
        return Taken(np.pad(wave, (0, short)), short if self.begun else 0)

    def _keep(self, n: int) -> None:
        surplus = max(len(self._waiting) - n, 0)
        self._waiting = self._waiting[surplus:]
        self.dropped["late"] += surplus / TURN_SAMPLES


class Numbered:
    """Whole turns, each with its number, in any order. `delay`: turns that the clock runs
    behind the sender's, in which late ones still come; `ahead`: how early one may be;
    `first`: number of the first."""

    def __init__(self, delay: int = 0, ahead: int = 5, first: int = 0) -> None:
        self._now, self.first = first - delay, first
        self.delay, self._ahead = delay, ahead
        self._waiting: dict[int, np.ndarray] = {}
        self.begun = False
        self.pace = Pace()
        self.dropped = {"late": 0.0, "early": 0.0, "again": 0.0}  # turns

    @property
    def now(self) -> int:
        """The number that is taken next; below `first` while the delay fills."""
        return self._now

    @property
    def waiting(self) -> float:
        """Turns of sound, with those of the delay."""
        return float(len(self._waiting))

    def write(self, number: int, wave: np.ndarray) -> bool:
        """float32 [3200] of turn `number`. -> whether it will be heard."""
        if number < self._now:
            self.dropped["late"] += 1
        elif number > self._now + self.delay + self._ahead:
            self.dropped["early"] += 1
        elif number in self._waiting:
            self.dropped["again"] += 1
        else:
            self._waiting[number] = wave
            self.begun = True
            self.pace.came(number * TURN_SAMPLES / SAMPLE_RATE)
            return True
        return False

    def take(self) -> Taken:
        """The next turn. While the delay fills, and before the first sound, nothing is
        missing."""
        wave = self._waiting.pop(self._now, None)
        expected = self.begun and self._now >= self.first
        self._now += 1
        if wave is None:
            return Taken(np.zeros(TURN_SAMPLES, np.float32), expected * TURN_SAMPLES)
        return Taken(wave, 0)
