"""From the agent's mel to samples: a small causal decoder without delay.

A Vocos of four ConvNeXt blocks (Siuzdak 2023, arXiv 2306.00814), made causal, that
predicts one spectrum a mel frame; inverse transform, window, overlap-add. A frame's
window starts at the frame, so after frame j the samples before 200 (j + 1) are final.

Mel says nothing about absolute phase, and a network of finite memory cannot keep one
from frame to frame. So the phase of the voice is state: the network predicts pitch and
voicing, an oscillator runs at that pitch, and the network's magnitudes and phases shape
the oscillator's spectrum and that of white noise (harmonic plus noise, as in DDSP and
neural source-filter vocoders). It learns from spectral losses alone.
"""

from __future__ import annotations

import functools
import math
import os
import tempfile
from pathlib import Path
from typing import Literal

import flax.struct
import flax.traverse_util
import jax
import jax.numpy as jnp
import librosa
import numpy as np
import safetensors
import safetensors.numpy
from jax import lax

from interaction.errors import InputError
from interaction.modality.audio import (
    LOG_MAX,
    MEL_FFT,
    MEL_HOP,
    MEL_MIN,
    MEL_WINDOW,
    MELS,
    PATCH_FRAMES,
    SAMPLE_RATE,
)
from interaction.ops import invariant
from interaction.ops.rows import layer_norm, matmul

WIDTH = 192
HIDDEN = 384
BLOCKS = 4
KERNEL = 7  # frames; four blocks see 25 frames, 0.3 s
BINS = MEL_WINDOW // 2 + 1
TAIL = MEL_WINDOW - MEL_HOP  # samples that later frames still add to
PATCH_SAMPLES = PATCH_FRAMES * MEL_HOP
F0_MIN, F0_MAX = 60.0, 500.0  # Hz; speaking voices
MAX_SLOPE = 800.0  # Hz/s of pitch inside one window
DELTA = 3.0  # log10: how far the network may move the mel's own envelope

Params = dict


@flax.struct.dataclass
class State:
    """What a stream carries from patch to patch; the first axis is the slot."""

    conv: jax.Array  # f32[B, BLOCKS, KERNEL - 1, WIDTH]: last inputs of each block
    sound: jax.Array  # f32[B, 600]: sum of past frames, not yet final nor normalised
    phase: jax.Array  # f32[B]: of the oscillator at the last window's centre, cycles
    pitch: jax.Array  # f32[B]: Hz, at the same place
    frame: jax.Array  # i32[B]: frames since the start, the place in the noise


def empty_state(batch: int) -> State:
    """State of `batch` streams that have not begun."""
    return State(
        conv=jnp.zeros((batch, BLOCKS, KERNEL - 1, WIDTH), jnp.float32),
        sound=jnp.zeros((batch, TAIL), jnp.float32),
        phase=jnp.zeros((batch,), jnp.float32),
        pitch=jnp.full((batch,), 100.0, jnp.float32),
        frame=jnp.zeros((batch,), jnp.int32),
    )


def init(key: jax.Array) -> Params:
    """Fresh parameters, a nested dict of float32 arrays (about 0.9 M)."""
    keys = iter(jax.random.split(key, 3 * BLOCKS + 2))

    def normal(shape: tuple[int, ...], fan_in: int) -> jax.Array:
        return jax.random.normal(next(keys), shape, jnp.float32) / math.sqrt(fan_in)

    def norm() -> Params:
        return {"scale": jnp.ones(WIDTH), "bias": jnp.zeros(WIDTH)}

    def linear(n_in: int, n_out: int) -> Params:
        return {"kernel": normal((n_in, n_out), n_in), "bias": jnp.zeros(n_out)}

    blocks = {}
    for i in range(BLOCKS):
        blocks[str(i)] = {
            "conv": normal((KERNEL, WIDTH), KERNEL),
            "norm": norm(),
            "up": linear(WIDTH, HIDDEN),
            "down": linear(HIDDEN, WIDTH),
            "gain": jnp.full(WIDTH, 0.3),
        }
    head = linear(WIDTH, 3 * BINS + 2)
    head["kernel"] *= 0.1
    embed = linear(MELS, WIDTH)
    return {"embed": embed, "blocks": blocks, "norm": norm(), "head": head}


def _norm(p: Params, x_TD: jax.Array) -> jax.Array:
    return layer_norm(invariant, x_TD, 1e-6) * p["scale"] + p["bias"]


def _linear(p: Params, x_TD: jax.Array) -> jax.Array:
    return matmul(invariant, x_TD, p["kernel"]) + p["bias"]


def _block(p: Params, tail_KD: jax.Array, x_TD: jax.Array) -> tuple:
    """ConvNeXt block over one stream: new tail f32[KERNEL - 1, D], f32[T, D]."""
    n = x_TD.shape[0]
    padded = jnp.concatenate([tail_KD, x_TD])
    y_TD = sum(p["conv"][k] * padded[k : k + n] for k in range(KERNEL))
    y_TD = _linear(p["up"], _norm(p["norm"], y_TD))
    y_TD = _linear(p["down"], jax.nn.gelu(y_TD))
    return padded[n:], x_TD + p["gain"] * y_TD


@functools.cache
def _window() -> np.ndarray:
    return np.hanning(MEL_WINDOW + 1)[:-1].astype(np.float32)


@functools.cache
def _window_squares() -> np.ndarray:
    """[4, 200]: what to divide by after the 1st, 2nd, 3rd and any later frame.

    Squares of Hann windows at a quarter overlap add up to 3/2. At a stream's start the
    frames before are missing; the floor turns that into a fade of 10 ms.
    """
    squares = np.square(_window()).reshape(4, MEL_HOP)
    return np.maximum(np.cumsum(squares, 0), np.float32(0.1))


@functools.cache
def mel_bank(norm: Literal["slaney"] | None, n_fft: int) -> np.ndarray:
    return librosa.filters.mel(sr=SAMPLE_RATE, n_fft=n_fft, n_mels=MELS, norm=norm)


@functools.cache
def _envelope_map() -> tuple[np.ndarray, np.ndarray]:
    """`mel @ a + b` is the log10 magnitude of a smooth spectrum with that mel."""
    a = mel_bank(None, MEL_WINDOW).copy()
    a[0, np.argmax(a.sum(0) > 0.99) - 1 :: -1] = 1.0  # below the first peak
    a[-1, BINS - np.argmax(a.sum(0)[::-1] > 0.99) :] = 1.0  # above the last one
    a = a / a.sum(0)
    b = -np.log10(mel_bank("slaney", MEL_FFT).sum(1)) @ a
    return a.astype(np.float32), b.astype(np.float32)


def _oscillator(phase_T: jax.Array, pitch_T: jax.Array, slope_T: jax.Array):
    """Windowed pulses f32[T, 800], every harmonic up to 7.8 kHz with a peak of 1.

    sum_{k=1..K} cos(k x) in closed form; x from phase and pitch at the window's centre.
    """
    t_N = np.float32((np.arange(MEL_WINDOW) - MEL_WINDOW / 2) / SAMPLE_RATE)
    cycles = phase_T[:, None] + (pitch_T[:, None] + slope_T[:, None] * t_N / 2) * t_N
    half = jnp.pi * (cycles - jnp.round(cycles))
    order = 2.0 * jnp.floor(7_800.0 / pitch_T)[:, None] + 1.0
    at_pulse = jnp.abs(half) < 1e-4
    safe = jnp.where(at_pulse, 1.0, half)
    ratio = jnp.where(at_pulse, order, jnp.sin(order * safe) / jnp.sin(safe))
    return (ratio - 1.0) / 2.0 * (_window() * np.float32(2 / _window().sum()))


def _noise(frame_T: jax.Array) -> jax.Array:
    """Windowed white noise f32[T, 800], each bin of mean square 1.

    A hash of the sample's number (lowbias32, Wellons 2018): overlapping windows see
    the same noise, with no state but the count and the same bits everywhere.
    """
    n = frame_T[:, None] * MEL_HOP + jnp.arange(MEL_WINDOW)
    x = n.astype(jnp.uint32)
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    x = x ^ (x >> 16)
    uniform = (x >> 8).astype(jnp.float32) * np.float32(2.0**-23) - 1.0
    scale = np.sqrt(3.0 / np.square(_window()).sum()).astype(np.float32)
    return uniform * (_window() * scale)


def stream(params: Params, state: State, mel_TM: jax.Array) -> tuple:
    """One stream (a `State` without the slot axis), any number of frames.

    -> (state, wave f32[200 T], pitch f32[T] in Hz, logit of voicing f32[T]).
    The one implementation: `decode_patches` maps it over slots, training vmaps it.
    """
    n = mel_TM.shape[0]
    mel_TM = jnp.clip(mel_TM, MEL_MIN, LOG_MAX)
    x_TD = _linear(params["embed"], (mel_TM + 1.5) / 1.5)
    tails = []
    for i in range(BLOCKS):
        tail, x_TD = _block(params["blocks"][str(i)], state.conv[i], x_TD)
        tails.append(tail)
    out = _linear(params["head"], _norm(params["norm"], x_TD))
    harmonic, noise, angle = (out[:, i * BINS : (i + 1) * BINS] for i in range(3))
    span = math.log(F0_MAX / F0_MIN)
    pitch_T = F0_MIN * jnp.exp(span * jax.nn.sigmoid(out[:, -2]))
    voicing_T = out[:, -1]

    # The spectral losses do not steer the oscillator: pitch and voicing are learned
    # from labels, or noise would be faked by pulses and pulses by noise.
    f0_T = lax.stop_gradient(pitch_T)
    before_T = jnp.concatenate([state.pitch[None], f0_T[:-1]])
    step_T = (before_T + f0_T) * np.float32(MEL_HOP / SAMPLE_RATE / 2)
    phase_T = state.phase + jnp.cumsum(step_T)
    slope_T = (f0_T - before_T) * np.float32(SAMPLE_RATE / MEL_HOP)
    slope_T = jnp.clip(slope_T, -MAX_SLOPE, MAX_SLOPE)
    frame_T = state.frame + jnp.arange(n)
    voiced = jnp.fft.rfft(_oscillator(phase_T, f0_T, slope_T))
    hiss = jnp.fft.rfft(_noise(frame_T))

    a, b = _envelope_map()
    envelope = matmul(invariant, mel_TM, jnp.asarray(a)) + b
    ln10 = np.float32(math.log(10.0))
    voice = jnp.exp(ln10 * (envelope + DELTA * jnp.tanh(harmonic / DELTA)))
    voice = voice * lax.stop_gradient(jax.nn.sigmoid(voicing_T))[:, None]
    breath = jnp.exp(ln10 * (envelope + DELTA * jnp.tanh(noise / DELTA)))
    turn = lax.complex(jnp.cos(angle), jnp.sin(angle))
    frames = jnp.fft.irfft(voiced * voice * turn + hiss * breath, MEL_WINDOW)
    parts = (frames * _window()).reshape(n, 4, MEL_HOP)
    blocks = jnp.pad(state.sound.reshape(3, MEL_HOP), ((0, n), (0, 0)))
    for q in (3, 2, 1, 0):
        blocks = blocks + jnp.pad(parts[:, q], ((q, 3 - q), (0, 0)))
    final = blocks[:n] / jnp.asarray(_window_squares())[jnp.minimum(frame_T, 3)]
    state = State(
        conv=jnp.stack(tails),
        sound=blocks[n:].reshape(TAIL),
        phase=phase_T[-1] - jnp.floor(phase_T[-1]),
        pitch=f0_T[-1],
        frame=frame_T[-1] + 1,
    )
    return state, final.reshape(n * MEL_HOP), pitch_T, voicing_T


def decode_patches(
    params: Params, state: State, mel_BP4M: jax.Array, wanted_B: jax.Array
) -> tuple:
    """P patches of 50 ms of the slots that are wanted; others get zeros and stay as they
    are. `State`, f32[B, P, 4, 80] -> (`State`, wave f32[B, 800 P]).

    Slots are mapped one by one: a slot's bits do not depend on how many there are, and
    those that are silent cost nothing.
    """
    samples = mel_BP4M.shape[1] * PATCH_SAMPLES

    def slot(xs: tuple) -> tuple:
        before, mel_P4M, wanted = xs

        def speak() -> tuple:
            def one(state: State, mel_4M: jax.Array) -> tuple[State, jax.Array]:
                return stream(params, state, mel_4M)[:2]

            after, wave = lax.scan(one, before, mel_P4M)
            return after, wave.reshape(samples)

        return lax.cond(wanted, speak, lambda: (before, jnp.zeros(samples, jnp.float32)))

    return lax.map(slot, (state, mel_BP4M, wanted_B))


def drain(state: State) -> tuple[State, jax.Array]:
    """End of speech: (empty state, f32[B, 800]), what still sounds, then zeros."""
    tail = state.sound / np.float32(1.5)  # without later frames it fades out
    wave = jnp.pad(tail, ((0, 0), (0, PATCH_SAMPLES - TAIL)))
    return empty_state(len(tail)), wave


_decode = jax.jit(decode_patches)
_ONE = np.ones(1, bool)


@jax.jit
def _scan(params: Params, patches_P4M: jax.Array) -> jax.Array:
    every = patches_P4M[None]
    return decode_patches(params, empty_state(1), every, jnp.asarray(_ONE))[1][0]


def decode(params: Params, mel: np.ndarray | jax.Array) -> np.ndarray:
    """A whole recording: float32 [T, 80] -> float32 [200 T], a scan of the patch step.

    The last 600 samples, which frames after T would complete, are left out.
    """
    mel = _checked(mel)
    rest = ((0, -len(mel) % PATCH_FRAMES), (0, 0))
    patches = np.pad(mel, rest, constant_values=MEL_MIN)
    wave = np.asarray(_scan(params, patches.reshape(-1, PATCH_FRAMES, MELS)))
    return wave[: len(mel) * MEL_HOP]


class WaveDecoder:
    """One stream on the host: mel in chunks of any size, samples as they are final."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame begins a stream."""
        self._state = empty_state(1)
        self._pending = np.zeros((0, MELS), np.float32)

    def push(self, mel: np.ndarray) -> np.ndarray:
        """float32 [n, 80] -> samples of the patches now whole, float32 [800 m]."""
        self._pending = np.concatenate([self._pending, _checked(mel)])
        waves = [np.zeros(0, np.float32)]
        while len(self._pending) >= PATCH_FRAMES:
            patch = self._pending[None, None, :PATCH_FRAMES]
            self._pending = self._pending[PATCH_FRAMES:]
            self._state, wave = _decode(self._params, self._state, patch, _ONE)
            waves.append(np.asarray(wave[0]))
        return np.concatenate(waves)

    def flush(self) -> np.ndarray:
        """End of stream: float32 [200 r + 600], r frames of a patch begun, the tail."""
        rest = len(self._pending)
        silence = np.full((-rest % PATCH_FRAMES, MELS), MEL_MIN, np.float32)
        wave = self.push(silence)
        tail = np.asarray(drain(self._state)[1][0])
        self.reset()
        return np.concatenate([wave, tail])[: rest * MEL_HOP + TAIL]


def _checked(mel: np.ndarray | jax.Array) -> np.ndarray:
    mel = np.asarray(mel, np.float32)
    if mel.ndim != 2 or mel.shape[1] != MELS:
        raise InputError(f"mel frames: shape {mel.shape}; give float32 [T, {MELS}]")
    return mel


def save(params: Params, path: str | os.PathLike) -> None:
    """Write parameters to a safetensors file, names joined by dots."""
    flat = flax.traverse_util.flatten_dict(params, sep=".")
    data = safetensors.numpy.save({k: np.asarray(v) for k, v in flat.items()})
    path = Path(path)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def load(path: str | os.PathLike) -> Params:
    """Read parameters. `InputError` where the file is not one of this decoder's."""
    try:
        flat = safetensors.numpy.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"waveform decoder: {path}: {error}; give its file") from error
    shapes = jax.eval_shape(init, jax.random.key(0))
    wanted = flax.traverse_util.flatten_dict(shapes, sep=".")
    for name in sorted(wanted.keys() | flat.keys()):
        found = flat[name].shape if name in flat else "absent"
        right = wanted[name].shape if name in wanted else "absent"
        if found != right:
            raise InputError(
                f"waveform decoder: {path}: {name} is {found}, not {right}; retrain it"
            )
    arrays = {name: jnp.asarray(value, jnp.float32) for name, value in flat.items()}
    return flax.traverse_util.unflatten_dict(arrays, sep=".")


def griffin_lim(mel: np.ndarray, iterations: int = 60, seed: int = 0) -> np.ndarray:
    """Reference without parameters: float32 [T, 80] -> float32 [200 T].

    Non-negative inverse of the mel bank, then fast Griffin-Lim (Perraudin 2013,
    momentum 0.99) with this module's framing. Not causal.
    """
    mel = _checked(mel)
    magnitude = _inverse_mel(10.0**mel)
    frames = len(mel)
    norm = np.maximum(_overlap_add(np.tile(_window() ** 2, (frames, 1))), 1e-2)
    turns = np.random.default_rng(seed).random(magnitude.shape)
    angles = np.exp(2j * np.pi * turns)
    previous = np.zeros_like(angles)
    starts = MEL_HOP * np.arange(frames)[:, None] + np.arange(MEL_WINDOW)

    def synthesise(angles: np.ndarray) -> np.ndarray:
        sound = np.fft.irfft(magnitude * angles, MEL_FFT)[:, :MEL_WINDOW]
        return _overlap_add(sound * _window()) / norm

    for _ in range(iterations):
        rebuilt = np.fft.rfft(synthesise(angles)[starts] * _window(), MEL_FFT)
        angles = rebuilt - (0.99 / 1.99) * previous
        angles /= np.abs(angles) + 1e-12
        previous = rebuilt
    return synthesise(angles)[: frames * MEL_HOP].astype(np.float32)


def _inverse_mel(mel: np.ndarray) -> np.ndarray:
    """Non-negative least squares by multiplicative updates: [T, 80] -> [T, 513]."""
    bank = mel_bank("slaney", MEL_FFT).astype(np.float64)
    spectrum = np.maximum(mel @ np.linalg.pinv(bank).T, 1e-6)
    for _ in range(50):
        spectrum *= (mel @ bank) / (spectrum @ bank.T @ bank + 1e-12)
    return spectrum


def _overlap_add(frames: np.ndarray) -> np.ndarray:
    parts = frames.reshape(len(frames), 4, MEL_HOP)
    blocks = np.zeros((len(frames) + 3, MEL_HOP))
    for q in range(4):
        blocks[q : q + len(frames)] += parts[:, q]
    return blocks.reshape(-1)
