"""A bad network, the same for the same seed: for trials of what a server makes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from interaction.conversation import TURN_S
from interaction.errors import InputError

TURN_MS = 1e3 * TURN_S


@dataclass(frozen=True)
class Network:
    """What becomes of one turn a chunk, sent every 200 ms. delay_ms: at most, in which they
    keep their order; reorder: share that goes at once, past those that wait; loss,
    duplicate: shares too. (Delay and reorder as in Linux's netem.)"""

    delay_ms: float = 0.0
    loss: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    seed: int = 0

    def check(self) -> Network:
        """Raises InputError."""
        if not 0 <= self.delay_ms <= 1_800:
            raise InputError(f"--delay-ms={self.delay_ms}; use 0 to 1800")
        for name in ("loss", "reorder", "duplicate"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"--{name}={getattr(self, name)}; a share, 0 to 1")
        return self

    def turns(self, phase_ms: float = 0.0) -> int:
        """That a clock has to run behind to hear all that comes, when chunks are sent so
        long after a tick."""
        return math.ceil((self.delay_ms + phase_ms) / TURN_MS) if self.delay_ms else 0

    def way(self, person: int) -> Way:
        return Way(self, person)


class Way:
    """Of one person's chunks."""

    def __init__(self, network: Network, person: int) -> None:
        self._network = network
        self._rng = np.random.default_rng([network.seed, person])
        self._sent = 0  # chunks
        self._last_ms = 0.0  # when the last of those that keep their order comes
        self.lost = self.doubled = 0

    def next(self) -> list[float]:
        """Of the next chunk: after how many ms it comes. Nothing: never; two: twice."""
        net, sent_ms = self._network, TURN_MS * self._sent
        self._sent += 1
        late, again, loss, reorder, duplicate = self._rng.random(5)
        if loss < net.loss:
            self.lost += 1
            return []
        if reorder < net.reorder:
            comes = [0.0]
        else:
            self._last_ms = max(self._last_ms, sent_ms + late * net.delay_ms)
            comes = [self._last_ms - sent_ms]
        if duplicate < net.duplicate:
            self.doubled += 1
            comes.append(again * net.delay_ms)
        return comes
