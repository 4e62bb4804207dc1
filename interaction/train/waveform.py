"""Train and score the mel-to-waveform decoder on the agent's voice.

    python -m interaction.train.waveform --workdir DIR --steps N --seed 0 \
        --output FILE.safetensors [--score]

Resumes from DIR/checkpoint.npz where there is one. With `--score` nothing is trained:
FILE is compared with Griffin-Lim on word lists that training has not seen.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from interaction.data.espeak import Spoken, agent_speech, speak
from interaction.data.scenes.words import AGENT_WORDS
from interaction.data.voices import AGENT_VOICE, sample_user_voice
from interaction.directory import directory
from interaction.errors import InputError, run_command
from interaction.modality import waveform
from interaction.modality.audio import (
    LOG_MAX,
    MEL_FFT,
    MEL_HOP,
    MEL_MIN,
    MEL_WINDOW,
    MELS,
    SAMPLE_RATE,
    agent_mel,
)
from interaction.modality.identify import WordTemplates

CROP = 64  # frames, 0.8 s
BATCH = 16
CLIPS = 1_600
EVERY = 250  # steps between checkpoints
RESOLUTIONS = ((2048, 1200, 240), (1024, 600, 120), (512, 240, 50))  # fft, window, hop
LEARNING_RATE = 2e-3
ERRORS = ("mel_l1_speech_log10", "mel_l1_log10", "stft")
OTHER_WORDS = tuple(  # phones and clusters that the agent's words lack
    "yes no okay please thanks circle square triangle left right stop wait minutes"
    " quick brown fox jumps over the lazy dog she sells shells by shore people think"
    " weather nice house school question answer visual measure judge strength".split()
)
UNSEEN_WORDS = tuple(  # in no training clip: what is left of the scores without them
    "bottle candle whisper thunder purple yesterday library kitchen umbrella freedom"
    " machine orange village because nothing under forest simple heavy travel".split()
)


@dataclass(frozen=True, eq=False)
class Clip:
    """wave f32[200 T], mel f32[T, 80], pitch f32[T] in Hz, voiced f32[T] of 0 or 1.

    starts: frames where words begin.
    """

    wave: np.ndarray
    mel: np.ndarray
    pitch: np.ndarray
    voiced: np.ndarray
    starts: np.ndarray


def track_pitch(wave: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pitch label of each mel frame: float32 [N] -> (Hz [N // 200], voiced [N // 200]).

    Autocorrelation of the window over the window's own (Boersma 1993), with his small
    preference for the shorter of two equal periods. Unvoiced frames are interpolated.
    """
    n = len(wave) // MEL_HOP
    window = np.hanning(MEL_WINDOW + 1)[:-1]
    padded = np.pad(wave.astype(np.float64), (0, MEL_WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, MEL_WINDOW)
    frames = frames[::MEL_HOP][:n]
    energy = np.sqrt(np.square(frames * window).mean(1))
    frames = (frames - frames.mean(1, keepdims=True)) * window
    own = np.fft.irfft(np.abs(np.fft.rfft(window, 2048)) ** 2)
    r = np.fft.irfft(np.abs(np.fft.rfft(frames, 2048)) ** 2)
    r = r / (r[:, :1] + 1e-9) * (own[0] / np.maximum(own, 1e-3 * own[0]))
    lags = np.arange(
        int(SAMPLE_RATE / waveform.F0_MAX) + 1, int(SAMPLE_RATE / waveform.F0_MIN)
    )
    score = r[:, lags] - 0.03 * np.log2(lags / lags[0])
    lag = lags[np.argmax(score, 1)]
    left, peak, right = (r[np.arange(n), lag + d] for d in (-1, 0, 1))
    shift = 0.5 * (left - right) / np.minimum(left - 2 * peak + right, -1e-9)
    pitch = SAMPLE_RATE / (lag + np.clip(shift, -0.5, 0.5))
    voiced = (peak > 0.6) & (energy > 1e-3)
    if not voiced.any():
        return np.full(n, 100.0, np.float32), np.zeros(n, np.float32)
    at = np.flatnonzero(voiced)
    pitch = np.interp(np.arange(n), at, pitch[at])
    return pitch.astype(np.float32), voiced.astype(np.float32)


def _clip(spoken: Spoken, rng: np.random.Generator) -> Clip:
    """Speech between silences of chance length, whole frames, long enough to crop."""
    before, after = MEL_HOP * rng.integers(12, 32), rng.integers(1_600, 4_000)
    after = max(after, (CROP + 1) * MEL_HOP - before)
    wave = np.pad(spoken.wave, (before, after))
    wave = wave[: len(wave) // MEL_HOP * MEL_HOP]
    pitch, voiced = track_pitch(wave)
    starts = np.array([before + round(word.t0 * SAMPLE_RATE) for word in spoken.words])
    return Clip(wave, agent_mel(wave), pitch, voiced, starts // MEL_HOP)


def _sentence(words: tuple[str, ...], rng: np.random.Generator) -> list[str]:
    return [words[i] for i in rng.integers(len(words), size=rng.integers(1, 7))]


def corpus(seed: int, clips: int = CLIPS) -> list[Clip]:
    """Training speech: 75% as the agent says it, 15% its voice in fluent speech with
    other words, 10% any user's voice."""
    rng = np.random.default_rng((seed, 1))
    held_out = {tuple(words) for words in held_out_lists()}
    made: list[Clip] = []
    while len(made) < clips:
        kind = rng.random()
        words = _sentence(AGENT_WORDS + (OTHER_WORDS if kind > 0.75 else ()), rng)
        if kind < 0.75 and tuple(words) not in held_out:
            made.append(_clip(agent_speech(words), rng))
        elif kind > 0.9:
            voice = sample_user_voice(rng, held_out=False)
            made.append(_clip(speak(words, voice), rng))
        elif kind > 0.75:
            made.append(_clip(speak(words, AGENT_VOICE), rng))
    return made


def held_out_lists(count: int = 40) -> list[list[str]]:
    """Word lists of two words and more that `corpus` leaves out."""
    rng = np.random.default_rng(97)
    lists = (_sentence(AGENT_WORDS, rng) for _ in range(10 * count))
    return [words for words in lists if len(words) > 1][:count]


def batches(clips: list[Clip], seed: int, step: int) -> Iterator[dict]:
    """Crops of chance clips, a function of (seed, step) alone, so a run can resume."""
    lengths = np.array([len(clip.mel) for clip in clips])
    while True:
        rng = np.random.default_rng((seed, 2, step))
        items = []
        for i in rng.choice(len(clips), BATCH, p=lengths / lengths.sum()):
            clip, at = clips[i], rng.integers(lengths[i] - CROP + 1)
            if rng.random() < 0.5:  # as a turn begins: at most 150 ms before a word
                at = rng.choice(clip.starts) - 4 * rng.integers(4)
                at = int(np.clip(at, 0, lengths[i] - CROP))
            part = slice(at, at + CROP)
            wave = clip.wave[at * MEL_HOP : (at + CROP) * MEL_HOP]
            items.append((wave, clip.mel[part], clip.pitch[part], clip.voiced[part]))
        wave, mel, pitch, voiced = (np.stack(x) for x in zip(*items, strict=True))
        yield {"wave": wave, "mel": mel, "pitch": pitch, "voiced": voiced}
        step += 1


def _imperfect(key: jax.Array, mel_BTM: jax.Array) -> jax.Array:
    """Mel as a generator makes it: noise of up to 0.15 log10, a third smoothed."""
    k_std, k_clean, k_noise, k_smooth = jax.random.split(key, 4)
    shape = (mel_BTM.shape[0], 1, 1)
    blur = np.array([0.25, 0.5, 0.25], np.float32)
    edge_T = jnp.pad(mel_BTM, ((0, 0), (1, 1), (0, 0)), mode="edge")
    soft = sum(blur[i] * edge_T[:, i : i + mel_BTM.shape[1]] for i in range(3))
    edge_M = jnp.pad(soft, ((0, 0), (0, 0), (1, 1)), mode="edge")
    soft = sum(blur[i] * edge_M[:, :, i : i + MELS] for i in range(3))
    mel_BTM = jnp.where(jax.random.uniform(k_smooth, shape) < 1 / 3, soft, mel_BTM)
    std = jax.random.uniform(k_std, shape, maxval=0.15)
    std = std * (jax.random.uniform(k_clean, shape) > 1 / 3)
    noisy = mel_BTM + std * jax.random.normal(k_noise, mel_BTM.shape)
    return jnp.clip(noisy, MEL_MIN, LOG_MAX)


def _magnitude(wave_BN: jax.Array, fft: int, window: int, hop: int) -> jax.Array:
    count = (wave_BN.shape[1] - window) // hop + 1
    at = hop * np.arange(count)[:, None] + np.arange(window)
    frames = wave_BN[:, at] * np.hanning(window + 1)[:-1].astype(np.float32)
    spectrum = jnp.fft.rfft(frames, fft)
    return jnp.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-8)


def stft_error(wave_BN: jax.Array, target_BN: jax.Array) -> jax.Array:
    """Spectral convergence + L1 of log magnitude, mean of three resolutions.

    Yamamoto 2020 (Parallel WaveGAN), with its resolutions; magnitudes below 1e-3, 50 dB
    under a whisper, count as silence.
    """
    total = jnp.float32(0)
    for sizes in RESOLUTIONS:
        x, y = _magnitude(wave_BN, *sizes), _magnitude(target_BN, *sizes)
        norm = jnp.sqrt(jnp.square(y).sum()) + 1e-3
        converge = jnp.sqrt(jnp.square(x - y).sum() + 1e-8) / norm
        x, y = jnp.maximum(x, 1e-3), jnp.maximum(y, 1e-3)
        total += converge + jnp.abs(jnp.log(x) - jnp.log(y)).mean()
    return total / len(RESOLUTIONS)


def _mel(wave_BN: jax.Array) -> jax.Array:
    """`agent_mel` with gradients, whole windows: f32[B, 200 T] -> [B, T - 3, 80]."""
    magnitude = _magnitude(wave_BN, MEL_FFT, MEL_WINDOW, MEL_HOP)
    bank = waveform.mel_bank("slaney", MEL_FFT)
    return jnp.log10(jnp.clip(magnitude @ bank.T, 10.0**MEL_MIN, 10.0**LOG_MAX))


def loss(params: dict, key: jax.Array, batch: dict) -> tuple[jax.Array, dict]:
    """Spectral errors of the decoded crops, and of the pitch and voicing labels."""
    k_mel, k_gain = jax.random.split(key)
    size = batch["mel"].shape[0]
    gain = 0.1 * jax.random.normal(k_gain, (size, 1))
    target = batch["wave"] * 10.0**gain
    mel = _imperfect(k_mel, batch["mel"] + gain[..., None])
    run = jax.vmap(waveform.stream, in_axes=(None, 0, 0))
    _, wave, pitch, voicing = run(params, waveform.empty_state(size), mel)
    octaves = jnp.abs(jnp.log2(pitch) - jnp.log2(batch["pitch"])) * batch["voiced"]
    parts = {
        "stft": stft_error(wave, target),
        "mel": jnp.abs(_mel(wave) - _mel(target)).mean(),
        "pitch": octaves.sum() / (batch["voiced"].sum() + 1.0),
        "voicing": optax.sigmoid_binary_cross_entropy(voicing, batch["voiced"]).mean(),
    }
    total = parts["stft"] + 5 * parts["mel"] + 5 * parts["pitch"] + parts["voicing"]
    return total, parts


def optimiser(steps: int) -> optax.GradientTransformation:
    rate = optax.warmup_cosine_decay_schedule(0.0, LEARNING_RATE, 100, steps)
    adam = optax.adamw(rate, b1=0.8, b2=0.99, weight_decay=0.01)
    return optax.chain(optax.clip_by_global_norm(5.0), adam)


def train(workdir: Path, steps: int, seed: int) -> dict:
    """Train for `steps` in all, resuming; returns the parameters."""
    directory("--workdir", workdir).mkdir(parents=True, exist_ok=True)
    tx = optimiser(steps)
    params = waveform.init(jax.random.key(seed))
    step, spent, (params, opt) = _restore(workdir, (params, tx.init(params)))
    clips = corpus(seed)
    minutes = sum(len(clip.wave) for clip in clips) / SAMPLE_RATE / 60
    print(f"{len(clips)} clips, {minutes:.0f} min; from step {step}", flush=True)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def update(params, opt, step, batch):
        key = jax.random.fold_in(jax.random.key(seed), step)
        grads, parts = jax.grad(loss, has_aux=True)(params, key, batch)
        updates, opt = tx.update(grads, opt, params)
        return optax.apply_updates(params, updates), opt, parts

    began, start = time.monotonic() - spent, step
    tick = time.monotonic()
    for batch in batches(clips, seed, step):
        if step >= steps:
            break
        params, opt, parts = update(params, opt, step, batch)
        step += 1
        if step % 50 == 0 or step == start + 1:
            figures = "  ".join(f"{k} {float(v):.3f}" for k, v in parts.items())
            pace = (time.monotonic() - tick) / (step - start)
            left = pace * (steps - step) / 60
            print(f"{step}/{steps}  {figures}  ETA {left:.1f} min", flush=True)
        if step % EVERY == 0 or step == steps:
            _checkpoint(workdir, step, time.monotonic() - began, (params, opt))
    return params


def _checkpoint(workdir: Path, step: int, spent: float, tree: tuple) -> None:
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    with tempfile.NamedTemporaryFile(dir=workdir, delete=False) as file:
        np.savez(file, np.int64(step), np.float64(spent), *leaves)
    os.replace(file.name, workdir / "checkpoint.npz")


def _restore(workdir: Path, tree: tuple) -> tuple[int, float, tuple]:
    path = workdir / "checkpoint.npz"
    if not path.exists():
        return 0, 0.0, tree
    with np.load(path) as file:
        step, spent, *leaves = (file[f"arr_{i}"] for i in range(len(file.files)))
    wanted, treedef = jax.tree.flatten(tree)
    if [x.shape for x in wanted] != [x.shape for x in leaves]:
        raise InputError(f"{path}: parameters of another shape; use a fresh --workdir")
    return int(step), float(spent), jax.tree.unflatten(treedef, leaves)


def _errors(wave: np.ndarray, clip: Clip) -> np.ndarray:
    """(mel L1 in log10 where there is speech, everywhere, STFT error) of one item."""
    difference = np.abs(agent_mel(wave) - clip.mel)[:-3]  # the last windows are cut
    speech = clip.mel[:-3].max(1) > -2.5
    stft = stft_error(jnp.asarray(wave[None]), jnp.asarray(clip.wave[None]))
    return np.array([difference[speech].mean(), difference.mean(), float(stft)])


def _trials() -> dict[str, list[Clip]]:
    """Speech to score on, from the nearest to training to the farthest."""
    rng = np.random.default_rng(98)
    unseen = [_sentence(UNSEEN_WORDS, rng) for _ in range(20)]
    voices = [sample_user_voice(rng, held_out=True) for _ in unseen]
    others = [speak(words, v) for words, v in zip(unseen, voices, strict=True)]
    spoken = {
        "held_out_lists": [agent_speech(words) for words in held_out_lists()],
        "unseen_words": [speak(words, AGENT_VOICE) for words in unseen],
        "unseen_words_held_out_voices": others,
    }
    return {name: [_clip(x, rng) for x in items] for name, items in spoken.items()}


def score(params: dict) -> dict:
    """Decoder and Griffin-Lim-60: errors on `_trials`, words told apart by the judge.

    The agent says a word always with the same samples, so the held-out lists are new
    orders of sounds that training has; the unseen words are new sounds.
    """
    rng = np.random.default_rng(99)
    words = {word: agent_speech([word]).wave for word in AGENT_WORDS}
    templates = WordTemplates(words)
    padded = {k: np.pad(x, (0, 1_600 + -len(x) % MEL_HOP)) for k, x in words.items()}
    noise = {std: rng.normal(0, std, (400, MELS)) for std in (0.0, 0.2, 0.4)}
    decoders: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "decoder": functools.partial(waveform.decode, params),
        "griffin_lim_60": waveform.griffin_lim,
    }
    trials = _trials()
    report: dict[str, Any] = {"words": len(words)}
    report |= {name: len(x) for name, x in trials.items()}
    for name, decode in decoders.items():
        figures: dict[str, Any] = {}
        report[name] = figures
        for trial, clips in trials.items():
            errors = np.mean([_errors(decode(c.mel), c) for c in clips], axis=0)
            figures[trial] = dict(zip(ERRORS, errors.round(4).tolist(), strict=True))
        for std, values in noise.items():
            right = 0
            for word, wave in padded.items():
                mel = agent_mel(wave)
                heard = decode((mel + values[: len(mel)]).astype(np.float32))
                right += templates.identify(heard)[0] == word
            figures[f"words_identified_mel_noise_{std}"] = round(right / len(words), 4)
    report["decode_patch_ms"] = _patch_ms(params)
    return report


def _patch_ms(params: dict, repeats: int = 400) -> dict:
    """Milliseconds of one jitted 50 ms patch of one slot on this machine."""
    step, wanted = jax.jit(waveform.decode_patches), jnp.ones(1, bool)
    state, mel = waveform.empty_state(1), jnp.zeros((1, 1, 4, MELS))
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        state, wave = jax.block_until_ready(step(params, state, mel, wanted))
        taken.append(1e3 * (time.perf_counter() - start))
    p50, p99 = np.percentile(taken[20:], (50, 99))
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workdir", type=Path, help="checkpoints; needed to train")
    parser.add_argument("--steps", type=int, default=8_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--score", action="store_true", help="score OUTPUT only")
    args = parser.parse_args()
    if args.score:
        print(json.dumps(score(waveform.load(args.output)), indent=1))
        return
    if args.workdir is None or args.steps < 1:
        raise InputError("train.waveform: needs --workdir=DIR and --steps of 1 or more")
    if not args.output.parent.is_dir():
        raise InputError(f"--output: {args.output.parent} is no directory; make it")
    waveform.save(train(args.workdir, args.steps, args.seed), args.output)


if __name__ == "__main__":
    run_command(main)
