"""Sound files: every format in, one line for every bad one; chunks do not matter."""

import struct
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from interaction.errors import InputError
from interaction.modality.files import StreamingResampler, read_audio, write_audio


def tone(seconds: float, rate: int, channels: int = 1, hz: float = 440.0) -> np.ndarray:
    wave = 0.3 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)
    return np.tile(wave[:, None], (1, channels)).astype(np.float32)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("rate, channels", [(16000, 1), (44100, 2), (8000, 1)])
def test_reads_every_format(tmp_path, ending, rate, channels):
    path = tmp_path / f"tone.{ending}"
    soundfile.write(path, tone(1.0, rate, channels), rate)
    wave = read_audio(path)
    assert wave.dtype == np.float32 and wave.ndim == 1
    assert abs(len(wave) - 16000) <= (2400 if ending == "mp3" else 1)
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    peak_hz = spectrum.argmax() * 16000 / len(wave)
    assert abs(peak_hz - 440) < 3
    tolerance = 0.05 if ending == "mp3" else 0.03
    assert abs(np.abs(wave[4000:12000]).max() - 0.3) < tolerance


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"])
def test_reads_every_width(tmp_path, subtype):
    path, wave = tmp_path / "tone.wav", tone(0.2, 16000)
    soundfile.write(path, wave, 16000, subtype=subtype)
    tolerance = 0.01 if subtype == "PCM_U8" else 1e-4
    np.testing.assert_allclose(read_audio(path), wave[:, 0], atol=tolerance)


def test_channels_are_averaged_not_dropped(tmp_path):
    path = tmp_path / "stereo.wav"
    wave = tone(0.1, 16000, channels=2) * np.array([1.0, 0.0], np.float32)
    soundfile.write(path, wave, 16000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(path), wave[:, 0] / 2, atol=1e-6)


def test_many_channels_and_any_rate(tmp_path):
    path = tmp_path / "six.wav"
    soundfile.write(path, tone(0.5, 11025, channels=6), 11025)
    assert abs(len(read_audio(path)) - 8000) <= 1


def zero_channels() -> bytes:
    form = struct.pack("<IHHIIHH", 16, 1, 0, 16000, 0, 0, 16)
    return b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + form + b"data\0\0\0\0"


@pytest.mark.parametrize(
    "name, content, says",
    [
        ("empty.wav", b"", "empty"),
        ("text.wav", b"It was a dark and stormy night. " * 9, "not a sound file"),
        ("text.mp3", b"It was a dark and stormy night. " * 9, "not a sound file"),
        ("text.raw", b"no header", "not a sound file"),
        ("zero.wav", zero_channels(), "0 channels"),
        ("noise.mp3", b"\xff\xfb" + bytes(500), "mp3"),
    ],
)
def test_bad_content_is_one_line(tmp_path, name, content, says, capfd):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        read_audio(path)
    assert name in str(caught.value) and "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")  # decoders must not chat


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_audio(tmp_path / "absent.wav")
    with pytest.raises(InputError, match="directory"):
        read_audio(tmp_path)


@pytest.mark.parametrize(
    "value, says", [(np.nan, "NaN"), (-np.inf, "NaN"), (2e4, "full scale")]
)
def test_bad_samples(tmp_path, value, says):
    path, wave = tmp_path / "bad.wav", tone(5.0, 16000)
    wave[-7] = value
    soundfile.write(path, wave, 16000, subtype="FLOAT")
    with pytest.raises(InputError, match=says):
        read_audio(path)


def test_no_samples(tmp_path):
    path = tmp_path / "none.wav"
    soundfile.write(path, np.zeros((0, 1), np.float32), 16000)
    with pytest.raises(InputError, match="no samples"):
        read_audio(path)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("part", [0.4, 0.8])
def test_truncated(tmp_path, ending, part, capfd):
    path = tmp_path / f"cut.{ending}"
    noise = np.random.default_rng(0).standard_normal(64000).astype(np.float32) * 0.1
    soundfile.write(path, noise, 16000)
    read_audio(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(InputError, match="cut short"):
        read_audio(path)
    assert capfd.readouterr() == ("", "")


def test_a_piped_wav_without_length_is_read(tmp_path):
    path = tmp_path / "piped.wav"
    soundfile.write(path, tone(0.1, 16000), 16000)
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = b"\xff" * 4
    path.write_bytes(content)
    assert len(read_audio(path)) == 1600


@settings(max_examples=40, deadline=None)
@given(
    rates=st.sampled_from(
        [(44100, 16000), (48000, 16000), (8000, 16000), (22050, 16000), (16000, 24000)]
    ),
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(0, 20_000),
    cuts=st.lists(st.floats(0, 1), max_size=40),
)
def test_resampler_ignores_chunks(rates, seed, size, cuts):
    wave = np.random.default_rng(seed).standard_normal(size).astype(np.float32)
    once = StreamingResampler(*rates)
    expected = np.concatenate([once.push(wave), once.flush()])
    stream = StreamingResampler(*rates)
    edges = [0, *sorted(int(cut * size) for cut in cuts), size]
    parts = [stream.push(wave[a:b]) for a, b in pairwise(edges)] + [stream.flush()]
    actual = np.concatenate(parts)
    assert len(actual) == pytest.approx(size * rates[1] / rates[0], abs=1)
    np.testing.assert_array_equal(actual.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("chunk", [1, 7, 441])
def test_resampler_ignores_tiny_chunks(chunk):
    wave = np.random.default_rng(3).standard_normal(4410).astype(np.float32)
    once, stream = StreamingResampler(44100), StreamingResampler(44100)
    expected = np.concatenate([once.push(wave), once.flush()])
    parts = [stream.push(wave[i : i + chunk]) for i in range(0, len(wave), chunk)]
    actual = np.concatenate([*parts, stream.flush()])
    np.testing.assert_array_equal(actual.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_write_then_read(tmp_path, ending):
    path, wave = tmp_path / f"out.{ending}", tone(0.5, 16000)[:, 0]
    write_audio(path, wave, 16000)
    np.testing.assert_allclose(
        read_audio(path), wave, atol=0.05 if ending == "ogg" else 1e-4
    )
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_write_stereo_clips_and_keeps_sides(tmp_path):
    path = tmp_path / "mix.wav"
    write_audio(path, np.array([[2.0, -0.5]] * 100, np.float32), 16000)
    left, right = soundfile.read(path, always_2d=True)[0].T
    assert left.min() > 0.999 and abs(right + 0.5).max() < 1e-3


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.wav"
    path.write_bytes(b"precious")
    with pytest.raises(ValueError):
        write_audio(path, np.zeros((2, 2, 2), np.float32), 16000)
    assert path.read_bytes() == b"precious"
    assert [p.name for p in tmp_path.iterdir()] == ["out.wav"]
    with pytest.raises(InputError, match="ending"):
        write_audio(tmp_path / "out.xyz", np.zeros(4, np.float32), 16000)
