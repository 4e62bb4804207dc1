"""What a room and a microphone do to speech: reverberation, echo, noise, gain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.signal

from interaction.modality.audio import SAMPLE_RATE

SPEECH_RMS = 0.05  # of the user's words before the gain


@dataclass(frozen=True)
class Room:
    """One dialogue's acoustics.

    rt60_s: decay by 60 dB; reverberant_db: energy of the tail against the direct
    path; snr_db: speech against noise; noise: the exponent a of a spectrum falling
    with f^-a (0 white, 1 pink) and the share of mains hum in it; echo_db, echo_s:
    level and delay of the agent's own voice in the user's channel.
    """

    rt60_s: float
    reverberant_db: float
    snr_db: float
    noise_colour: float
    hum: float
    gain_db: float
    echo_db: float
    echo_s: float


def sample_room(rng: np.random.Generator) -> Room:
    return Room(
        rt60_s=rng.uniform(0.1, 0.35),
        reverberant_db=rng.uniform(-18, -6),
        snr_db=rng.uniform(15, 35),
        noise_colour=float(rng.choice([0.0, 0.5, 1.0])),
        hum=float(rng.choice([0.0, 0.0, rng.uniform(0.1, 0.6)])),
        gain_db=rng.uniform(-10, 6),
        echo_db=rng.uniform(-40, -20),
        echo_s=rng.uniform(0.02, 0.08),
    )


def decibels(db: float) -> np.float32:
    """The amplitude factor."""
    return np.float32(10 ** (db / 20))


def level(wave: np.ndarray, rms: float | np.floating) -> np.ndarray:
    """The wave (f32) scaled to a root mean square."""
    return wave * np.float32(rms / np.sqrt(np.mean(np.square(wave)) + 1e-12))


def impulse_response(room: Room, rng: np.random.Generator) -> np.ndarray:
    """f32[rt60]: a direct path of 1 at sample 0, then decaying noise from 3 ms on."""
    n, quiet = int(room.rt60_s * SAMPLE_RATE), int(0.003 * SAMPLE_RATE)
    decay = np.exp(-6.9 * np.arange(n) / n)  # 60 dB over rt60
    tail = rng.standard_normal(n) * decay
    tail[:quiet] = 0
    tail *= decibels(room.reverberant_db) / np.sqrt(np.sum(tail**2))
    tail[0] = 1
    return tail.astype(np.float32)


def noise(n: int, room: Room, rng: np.random.Generator) -> np.ndarray:
    """f32[n] of root mean square 1."""
    bins = n // 2 + 1
    spectrum = rng.standard_normal((bins, 2), np.float32).view(np.complex64)[:, 0]
    f = np.maximum(np.arange(bins, dtype=np.float32) * (SAMPLE_RATE / n), 20)
    coloured = level(scipy.fft.irfft(spectrum * f ** (-room.noise_colour / 2), n), 1)
    if not room.hum:
        return coloured
    t = np.arange(SAMPLE_RATE // 10) / SAMPLE_RATE  # whole periods of 50 and 60 Hz
    mains, phase = rng.choice([50, 60]), rng.uniform(0, 2 * np.pi, 3)
    hum = sum(
        np.sin(2 * np.pi * k * mains * t + phase[k - 1]) / k for k in (1, 2, 3)
    ).astype(np.float32)
    hum = np.resize(level(hum, 1), n)
    return level((1 - room.hum) * coloured + room.hum * hum, 1)


def in_room(
    user: np.ndarray, agent: np.ndarray, room: Room, rng: np.random.Generator
) -> np.ndarray:
    """What the user's microphone hears, f32[N] in [-1, 1], aligned with `user`.

    user: f32[N], all dry voices near the microphone, speech at SPEECH_RMS;
    agent: f32[N], what the loudspeaker plays.
    """
    delay = int(room.echo_s * SAMPLE_RATE)
    dry = user.copy()
    dry[delay:] += agent[: len(agent) - delay] * decibels(room.echo_db)
    wet = scipy.signal.oaconvolve(dry, impulse_response(room, rng))[: len(dry)]
    wet += noise(len(dry), room, rng) * (SPEECH_RMS * decibels(-room.snr_db))
    return np.clip(wet * decibels(room.gain_db), -1, 1).astype(np.float32)
