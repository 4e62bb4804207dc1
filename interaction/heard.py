"""From the heard head's labels to words: runs of one token, reported when they end."""

from __future__ import annotations

import numpy as np

MIN_EVIDENCE = 1.5  # summed probability of a run; shorter guesses are word beginnings


class HeardWords:
    """Follows one slot. A run of the same token is a word, or a part of one."""

    def __init__(self, nothing: int) -> None:
        self._nothing = nothing
        self._token = nothing
        self._evidence = 0.0

    def push(self, tokens: np.ndarray, probability: np.ndarray) -> list[tuple[int, int]]:
        """Labels of one turn, int [4] and float [4] -> runs that ended: (token, position
        in the turn at which the end was seen)."""
        ended = []
        for i, (token, p) in enumerate(zip(tokens.tolist(), probability, strict=True)):
            if token == self._token:
                self._evidence += float(p)
                continue
            if self._token != self._nothing and self._evidence >= MIN_EVIDENCE:
                ended.append((self._token, i))
            self._token, self._evidence = token, float(p)
        return ended
