"""Sound as the model hears it (dMel) and as it speaks it (continuous mel).

In: dMel of the Inkling family: 16 kHz, periodic Hann window of 100 ms, hop 50 ms,
left-padded by one hop so that a frame never looks ahead, 80 Slaney mels of
magnitude, log10 clamped to [-7, 2], 16 bins (nearest centre).
Out: 80 log10 mels every 12.5 ms. A frame's 50 ms window *starts* at the frame: the
agent's sound is planned, not observed, and so an overlap-add decoder with windows
of the same length needs no delay.
"""

from __future__ import annotations

import functools

import librosa
import numpy as np
import scipy.sparse

SAMPLE_RATE = 16_000
TURN_SAMPLES = 3_200  # 200 ms
MELS = 80

HOP = 800  # 50 ms: one AUDIO_IN position
WINDOW = 1_600
BINS = 16
LOG_MIN, LOG_MAX = -7.0, 2.0

MEL_HOP = 200  # 12.5 ms: one frame of agent mel
MEL_WINDOW = 800
MEL_FFT = 1_024
PATCH_FRAMES = 4  # 50 ms: one AUDIO_OUT position
PATCH_DIM = PATCH_FRAMES * MELS
MEL_MIN = -5.0  # below espeak's and any microphone's noise floor


@functools.cache
def _hann(n: int) -> np.ndarray:
    return np.hanning(n + 1)[:-1].astype(np.float32)


@functools.cache
def _mel_bank(n_fft: int) -> np.ndarray:
    bank = librosa.filters.mel(
        sr=SAMPLE_RATE, n_fft=n_fft, n_mels=MELS, fmin=0.0, fmax=SAMPLE_RATE / 2
    )
    return np.ascontiguousarray(bank, dtype=np.float32)


@functools.cache
def _sparse_bank(n_fft: int) -> scipy.sparse.csr_array:
    return scipy.sparse.csr_array(_mel_bank(n_fft))


def dmel_frames(padded: np.ndarray) -> np.ndarray:
    """Bins of whole frames. `padded`: float32 [800 + 800 n] -> uint8 [n, 80].

    The transform goes frame by frame and the sparse mel bank adds its terms in one fixed
    order, so a frame's bits do not depend on how many frames are computed together (a
    dense product's would).
    """
    n = len(padded) // HOP - 1
    if n < 1:
        return np.zeros((0, MELS), np.uint8)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:n]
    spectrum = np.fft.rfft(frames * _hann(WINDOW))
    power = spectrum.real**2 + spectrum.imag**2
    magnitude = np.sqrt(np.maximum(power, 1e-10)).astype(np.float32)
    mel = (_sparse_bank(WINDOW) @ magnitude.T).T
    log = np.log10(np.maximum(mel, 1e-10))
    step = (np.clip(log, LOG_MIN, LOG_MAX) - LOG_MIN) * ((BINS - 1) / 9.0)
    return np.rint(step).astype(np.uint8)


def dmel(wave: np.ndarray) -> np.ndarray:
    """dMel of a whole recording. float32 [N] at 16 kHz -> uint8 [ceil(N/800), 80]."""
    right = -len(wave) % HOP
    return dmel_frames(np.pad(np.asarray(wave, np.float32), (WINDOW - HOP, right)))


class DmelStream:
    """dMel of a stream: the same bits as `dmel`, whatever the chunks."""

    def __init__(self) -> None:
        self.pending = np.zeros(WINDOW - HOP, np.float32)  # all that is remembered

    def push(self, chunk: np.ndarray) -> np.ndarray:
        """float32 [n] -> the frames that are now complete, uint8 [m, 80]."""
        self.pending = np.concatenate([self.pending, np.asarray(chunk, np.float32)])
        whole = (len(self.pending) - (WINDOW - HOP)) // HOP
        frames = dmel_frames(self.pending[: (whole + 1) * HOP])
        self.pending = self.pending[whole * HOP :]
        return frames

    def flush(self) -> np.ndarray:
        """End of stream: the last frame, padded with zeros, if one has begun."""
        short = -(len(self.pending) - (WINDOW - HOP)) % HOP
        return self.push(np.zeros(short, np.float32))


def agent_mel(wave: np.ndarray) -> np.ndarray:
    """Target mel of the agent's speech. float32 [N] -> float32 [N // 200, 80], log10.

    Clamped to [-5, 2]. Frame j sees samples [200 j, 200 j + 800), zeros past the end.
    """
    n = len(wave) // MEL_HOP
    padded = np.pad(np.asarray(wave, np.float32), (0, MEL_WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, MEL_WINDOW)
    frames = frames[::MEL_HOP][:n] * _hann(MEL_WINDOW)
    magnitude = np.abs(np.fft.rfft(frames, MEL_FFT)).astype(np.float32)
    mel = magnitude @ _mel_bank(MEL_FFT).T
    return np.log10(np.clip(mel, 10.0**MEL_MIN, 10.0**LOG_MAX)).astype(np.float32)
