"""Whether somebody speaks, frame by frame as sound comes: a voice-activity detector."""

from __future__ import annotations

import numpy as np

from interaction.modality.audio import SAMPLE_RATE

FRAME = 320  # samples: 20 ms
FRAME_S = FRAME / SAMPLE_RATE
BAND = slice(4, 70)  # of 50 Hz: 200 to 3,500 Hz, where speech is and mains are not
QUIETEST_DB = -70.0  # of full scale; what is softer is no sound
ABOVE_DB = 6.0  # the noise, for speech
RISE_DB = 1.0  # a second, at most, by which the noise is taken to grow


class Detector:
    """Causal. Noise is what was softest of late; speech is well above it."""

    def __init__(self) -> None:
        self._noise_db: float | None = None

    def push(self, wave: np.ndarray) -> list[bool]:
        """float32 [n * 320] -> of each frame, whether it is speech."""
        frames = wave.reshape(-1, FRAME) * np.hanning(FRAME)
        spectrum = np.fft.rfft(frames)[:, BAND] / FRAME
        power = 2 * np.square(np.abs(spectrum)).sum(1)
        return [self._speech(10 * np.log10(p + 1e-12)) for p in power.tolist()]

    def _speech(self, db: float) -> bool:
        db = max(db, QUIETEST_DB)
        noise = db if self._noise_db is None else self._noise_db
        # Up slowly, down at once: speech has gaps, and noise is in them.
        self._noise_db = min(db, noise + RISE_DB * FRAME_S)
        return db > noise + ABOVE_DB
