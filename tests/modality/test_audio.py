"""dMel and agent mel: streaming equals offline, frames lie where they say."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from interaction.modality.audio import (
    BINS,
    HOP,
    LOG_MAX,
    LOG_MIN,
    MEL_HOP,
    MEL_WINDOW,
    MELS,
    SAMPLE_RATE,
    DmelStream,
    agent_mel,
    dmel,
)


def noise(n: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(
    chunks=st.lists(st.integers(0, 5000), min_size=1, max_size=12), seed=st.integers(0, 9)
)
def test_any_chunking_gives_the_same_bits(chunks, seed):
    wave = noise(sum(chunks), seed)
    stream, at, frames = DmelStream(), 0, []
    for n in chunks:
        frames.append(stream.push(wave[at : at + n]))
        at += n
    frames.append(stream.flush())
    streamed = np.concatenate(frames)
    assert streamed.shape == (-(-len(wave) // HOP), MELS)
    assert (streamed == dmel(wave)).all()


def test_a_frame_never_looks_ahead():
    a, b = noise(8000), noise(8000)
    b[4 * HOP :] = noise(8000 - 4 * HOP, seed=1)
    frames_a, frames_b = dmel(a), dmel(b)
    assert (frames_a[:4] == frames_b[:4]).all()
    assert (frames_a[4] != frames_b[4]).any()


def test_bins_are_the_nearest_of_sixteen_levels():
    """Against the formula in float64, written the slow way."""
    import librosa

    wave = noise(3 * HOP, seed=2)
    bank = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=1600, n_mels=MELS, fmin=0, fmax=8000)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1600) / 1600)
    padded = np.concatenate([np.zeros(HOP), wave.astype(np.float64)])
    levels = np.linspace(LOG_MIN, LOG_MAX, BINS)
    for i, frame in enumerate(dmel(wave)):
        magnitude = np.abs(np.fft.rfft(padded[i * HOP : i * HOP + 1600] * window))
        log = np.log10(np.maximum(bank @ np.maximum(magnitude, 1e-5), 1e-10))
        nearest = np.abs(log[:, None] - levels).argmin(-1)
        far = np.abs(np.abs(log - levels[nearest]) - 0.3) > 1e-4  # not between two levels
        assert (frame == nearest)[far].all() and far.mean() > 0.9


def test_silence_and_nothing():
    assert (dmel(np.zeros(HOP)) <= 2).all()  # Inkling floors the magnitude at 1e-5
    assert dmel(np.zeros(0)).shape == (0, MELS)


def test_agent_mel_frame_starts_at_its_sample():
    """A click at sample s sounds in frames whose 800 samples from 200 j hold it."""
    wave = np.zeros(4000, np.float32)
    click = 2100
    wave[click] = 1.0
    loud = np.flatnonzero(agent_mel(wave).max(1) > -4)
    holds = [j for j in range(20) if 200 * j < click < 200 * j + MEL_WINDOW - 1]
    assert loud.tolist() == holds
    assert agent_mel(wave).shape == (4000 // MEL_HOP, MELS)
