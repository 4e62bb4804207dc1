"""The mel-to-waveform decoder: exact streaming, causality, and the word judge."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interaction.errors import InputError
from interaction.modality import waveform
from interaction.modality.audio import agent_mel
from interaction.modality.identify import WordTemplates

FRAMES = 36


@functools.cache
def params() -> dict:
    """Random, but with a head large enough that every frame is heard."""
    made = jax.jit(waveform.init)(jax.random.key(3))
    made["head"]["kernel"] *= 10.0
    return made


@functools.cache
def mel() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(-3, 0, (FRAMES, 80)).astype(np.float32)


@functools.cache
def whole() -> np.ndarray:
    return waveform.decode(params(), mel())


def chirp(start: float, stop: float, seconds: float) -> np.ndarray:
    """A harmonic glide, the test's idea of a word. float32 [16000 seconds]."""
    t = np.arange(int(16_000 * seconds)) / 16_000
    phase = 2 * np.pi * (start * t + (stop - start) / (2 * seconds) * t**2)
    wave = sum(np.sin(k * phase) / k for k in range(1, 8))
    return (0.2 * wave * np.hanning(len(t))).astype(np.float32)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 11), max_size=12))
def test_any_chunks_give_the_same_bits(sizes: list[int]) -> None:
    decoder = waveform.WaveDecoder(params())
    parts, at = [], 0
    for size in [*sizes, FRAMES]:
        parts.append(decoder.push(mel()[at : at + size]))
        at += size
    wave = np.concatenate(parts)
    assert wave.shape == (FRAMES * 200,)
    assert (wave == whole()).all()


def test_state_carries_all_that_matters() -> None:
    """Patches of 4 and one block of 36 are the same function, up to rounding."""
    state = jax.tree.map(lambda x: x[0], waveform.empty_state(1))
    wave = np.asarray(jax.jit(waveform.stream)(params(), state, mel())[1])
    assert np.abs(wave - whole()).max() < 1e-3 * np.abs(wave).max()


def test_flush_ends_the_stream_and_forgets_it() -> None:
    decoder = waveform.WaveDecoder(params())
    first = np.concatenate([decoder.push(mel()[:10]), decoder.flush()])
    assert first.shape == (10 * 200 + 600,)
    assert np.abs(first[2_000:]).max() > 1e-3  # the tail sounds
    again = np.concatenate([decoder.push(mel()[:10]), decoder.flush()])
    assert (again == first).all()
    decoder.push(mel()[:7])
    decoder.reset()
    assert (decoder.push(mel()) == whole()).all()


def test_slots_are_independent() -> None:
    step = jax.jit(waveform.decode_patches)
    patches, every = mel().reshape(-1, 1, 4, 80), np.ones(3, bool)
    orders = np.stack([np.roll(np.arange(9), k) for k in range(3)], 1)
    state = waveform.empty_state(3)
    together = []
    for order in orders:
        state, wave = step(params(), state, patches[order], every)
        together.append(np.asarray(wave))
    assert not (together[-1][0] == together[-1][1]).all()
    for slot in range(3):
        alone = waveform.empty_state(1)
        for order, waves in zip(orders, together, strict=True):
            alone, wave = step(params(), alone, patches[order[slot]][None], every[:1])
            assert (np.asarray(wave[0]) == waves[slot]).all()


def test_slots_that_are_not_wanted_stay_as_they_are() -> None:
    step, patches = jax.jit(waveform.decode_patches), mel().reshape(1, -1, 4, 80)
    begun, _ = step(params(), waveform.empty_state(1), patches[:, :2], np.ones(1, bool))
    two = jax.tree.map(lambda x: np.repeat(x, 2, 0), begun)
    wanted = np.array([False, True])
    after, wave = step(params(), two, np.repeat(patches[:, 2:4], 2, 0), wanted)
    alone, heard = step(params(), begun, patches[:, 2:4], np.ones(1, bool))
    assert (wave[0] == 0).all() and (wave[1] == heard[0]).all()
    for now, idle, moved in zip(*map(jax.tree.leaves, (after, begun, alone)), strict=True):
        assert (now[0] == idle[0]).all() and (now[1] == moved[0]).all()


@pytest.mark.parametrize("frame", [1, 6, 19, 35])
def test_sound_before_a_frame_does_not_depend_on_it(frame: int) -> None:
    other = mel().copy()
    other[frame:] = -5.0
    wave = waveform.decode(params(), other)
    assert (wave[: 200 * frame] == whole()[: 200 * frame]).all()
    # No delay either: the frame is heard in its own 200 samples.
    assert (wave[200 * frame : 200 * frame + 200] != whole()[200 * frame :][:200]).any()


def test_gradient_reaches_only_the_past() -> None:
    def late(mel_TM: jax.Array) -> jax.Array:
        state = jax.tree.map(lambda x: x[0], waveform.empty_state(1))
        wave = waveform.stream(params(), state, mel_TM)[1]
        return jnp.square(wave[1_600:1_800]).sum()

    reached = np.abs(jax.jit(jax.grad(late))(mel()[:16])).max(1)
    assert (reached[9:] == 0).all()
    assert (reached[:9] > 0).all()


def test_drain_emits_the_tail_once() -> None:
    decoder = waveform.WaveDecoder(params())
    decoder.push(mel()[:8])
    state, wave = waveform.drain(decoder._state)
    assert wave.shape == (1, 800)
    assert (np.asarray(wave[0, 600:]) == 0).all()
    assert (np.asarray(wave[0, :600]) == decoder.flush()).all()
    empty = waveform.empty_state(1)
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), state, empty))


def test_oscillator_keeps_its_phase_across_patches() -> None:
    """A steady mel makes a steady tone: its period survives the patch boundaries."""
    quiet = {**params(), "head": dict(params()["head"])}
    quiet["head"]["kernel"] = jnp.zeros_like(quiet["head"]["kernel"])
    bias = np.zeros(quiet["head"]["bias"].shape, np.float32)
    bias[waveform.BINS : 2 * waveform.BINS] = -20.0  # no noise
    bias[-1] = 20.0  # voiced
    share = np.log(200.0 / waveform.F0_MIN) / np.log(waveform.F0_MAX / waveform.F0_MIN)
    bias[-2] = np.log(share / (1 - share))  # 200 Hz
    quiet["head"]["bias"] = jnp.asarray(bias)
    wave = waveform.decode(quiet, np.full((FRAMES, 80), -1.0, np.float32))
    steady = wave[1_600:]
    assert np.abs(steady).max() > 1e-2
    difference = np.abs(steady[80:] - steady[:-80]).max()
    assert difference < 0.02 * np.abs(steady).max()


def test_griffin_lim_reproduces_the_mel() -> None:
    target = agent_mel(chirp(150, 220, 0.6))
    loud = target[:-3].max(1) > -1
    errors = []
    for iterations in (0, 60):
        made = waveform.griffin_lim(target, iterations)
        assert made.shape == (len(target) * 200,) and made.dtype == np.float32
        errors.append(np.abs(agent_mel(made) - target)[:-3][loud].mean())
    assert errors[1] < 0.12
    assert errors[1] < 0.6 * errors[0]  # the iterations do something


def test_save_and_load(tmp_path) -> None:
    path = tmp_path / "wave.safetensors"
    waveform.save(params(), path)
    back = waveform.load(path)
    assert jax.tree.structure(back) == jax.tree.structure(params())
    same = jax.tree.map(lambda a, b: (a == b).all(), back, params())
    assert jax.tree.all(same)
    assert [file.name for file in tmp_path.iterdir()] == ["wave.safetensors"]


def test_load_names_what_is_wrong(tmp_path) -> None:
    path = tmp_path / "wave.safetensors"
    with pytest.raises(InputError, match="wave.safetensors"):
        waveform.load(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="wave.safetensors"):
        waveform.load(path)
    waveform.save({**params(), "norm": {"scale": jnp.ones(3)}}, path)
    with pytest.raises(InputError, match="norm.bias is absent"):
        waveform.load(path)


def test_mel_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(5, 64\)"):
        waveform.WaveDecoder(params()).push(np.zeros((5, 64), np.float32))


def words() -> dict[str, np.ndarray]:
    return {
        "up": chirp(100, 300, 0.4),
        "down": chirp(300, 100, 0.4),
        "low": chirp(120, 125, 0.4),
        "high": chirp(260, 250, 0.4),
    }


def test_identify_knows_its_templates() -> None:
    templates = WordTemplates(words())
    for word, wave in words().items():
        assert templates.identify(wave)[0] == word
        assert templates.identify(wave)[1] < 1e-3


def test_identify_hears_through_level_silence_and_pace() -> None:
    templates = WordTemplates(words())
    slow = chirp(100, 300, 0.55)
    changed = np.pad(0.3 * slow, (1_234, 2_345))
    word, distance = templates.identify(changed.astype(np.float32))
    assert word == "up" and distance > 0.01


def test_no_templates_is_an_error() -> None:
    with pytest.raises(InputError, match="one wave a word"):
        WordTemplates({})
