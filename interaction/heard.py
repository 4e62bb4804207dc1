"""From the heard head's labels to words: runs of one token, reported when they end."""

from __future__ import annotations

import numpy as np

MIN_EVIDENCE = 1.5  # summed probability of a run; shorter guesses are word beginnings


class HeardWords:
    """Follows one slot. A run of the same token is a word, or a part of one."""

    def __init__(self, nothing: int) -> None:
        self._nothing = nothing
        self.run: tuple[int, float] = nothing, 0.0  # the token, and its evidence so far

    def push(self, tokens: np.ndarray, probability: np.ndarray) -> list[tuple[int, int]]:
        """Labels of one turn, int [4] and float [4] -> runs that ended: (token, position
        in the turn at which the end was seen)."""
        ended = []
        for i, (token, p) in enumerate(zip(tokens.tolist(), probability, strict=True)):
            before, evidence = self.run
            if token == before:
                self.run = token, evidence + float(p)
                continue
            if before != self._nothing and evidence >= MIN_EVIDENCE:
                ended.append((before, i))
            self.run = token, float(p)
        return ended
