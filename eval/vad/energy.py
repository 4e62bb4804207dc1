"""Whatever is louder than digital silence: exact for synthetic voices."""

from __future__ import annotations

import numpy as np

from interaction.modality.audio import SAMPLE_RATE

LOUD = 1e-3  # of full scale: -60 dB
GAP_S = 0.2  # a shorter pause is inside a segment
LEAST_S = 0.03  # a shorter segment is a click


def segments(wave: np.ndarray) -> list[tuple[float, float]]:
    """float32 [N] at 16 kHz -> seconds, in order."""
    loud = np.flatnonzero(np.abs(wave) > LOUD)
    if not len(loud):
        return []
    cuts = np.flatnonzero(np.diff(loud) > GAP_S * SAMPLE_RATE)
    starts = loud[np.r_[0, cuts + 1]] / SAMPLE_RATE
    ends = (loud[np.r_[cuts, len(loud) - 1]] + 1) / SAMPLE_RATE
    pairs = zip(starts.tolist(), ends.tolist(), strict=True)
    return [(a, b) for a, b in pairs if b - a >= LEAST_S]
