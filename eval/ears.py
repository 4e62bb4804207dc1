"""How a run is listened to: where speech is, and which words were said when.

Both are modules that a name chooses: `eval.vad.NAME` has `segments(wave)`,
`eval.words.NAME` has `words(record, segments)`. `NAME:REST` hands REST to the module's
`open(rest)`, which returns that function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from eval import modules
from eval.record import Record
from eval.sample import Span
from interaction.errors import InputError

Segment = tuple[float, float]


class Unheard(Exception):
    """A record that cannot be measured; the reason."""


@dataclass(frozen=True)
class Ears:
    """words_from, vad: names, for the figures' provenance."""

    words_from: str
    vad: str
    _words: Callable[[Record, list[Segment]], list[Span]]
    _segments: Callable[[np.ndarray], list[Segment]]

    @property
    def own(self) -> bool:
        """Whether words are the system's own text, whose times come from where the detector
        finds its speech; else a recogniser heard them."""
        return self.words_from.partition(":")[0] != "asr"

    def segments(self, wave: np.ndarray) -> list[Segment]:
        """Stretches of speech in float32 [N] at 16 kHz: seconds, in order."""
        return self._segments(wave)

    def words(self, record: Record) -> list[Span]:
        """The system's words, in order."""
        return self._words(record, self.segments(record.output))


def ears(words: str = "text_stream", vad: str = "silero") -> Ears:
    """Raises InputError for a name that is not there, or misses what it needs."""
    return Ears(
        words, vad, _chosen("words", words, "words"), _chosen("vad", vad, "segments")
    )


def _chosen(kind: str, name: str, face: str) -> Callable:
    chosen, rest = modules.named(f"eval.{kind}", f"--{kind}", name)
    if hasattr(chosen, "open"):
        return chosen.open(rest)
    if rest:
        taken = name.partition(":")[0]
        raise InputError(f"--{kind}={name}: {taken} takes nothing behind a colon")
    return getattr(chosen, face)
