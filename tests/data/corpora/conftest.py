"""Sounds, and corpora prepared through the public face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from interaction.data.corpora.prepare import Options, prepare
from interaction.data.corpora.records import Corpus
from interaction.errors import InputError

TONE_HZ = 440


@pytest.fixture(scope="session")
def voice():
    """(seconds, spans, rate) -> float32 [n]: a tone in each (t0, t1), else silence."""

    def make(seconds: float, spans: list[tuple[float, float]], rate: int) -> np.ndarray:
        t = np.arange(round(seconds * rate)) / rate
        sounds = np.zeros(len(t), bool)
        for t0, t1 in spans:
            sounds |= (t >= t0) & (t < t1)
        return (0.5 * np.sin(2 * np.pi * TONE_HZ * t) * sounds).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def write(voice):
    """(path, seconds, spans of each channel, rate, ...) writes a sound file."""

    def make(path: Path, seconds: float, channels: list, rate: int = 16_000, **how) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        waves = [voice(seconds, spans, rate) for spans in channels]
        soundfile.write(path, np.stack(waves, axis=1), rate, **how)
        return path

    return make


@pytest.fixture
def prepared(tmp_path):
    """(format, src, options...) -> the prepared corpus, in a directory of its own."""

    def make(form: str, src: Path, **options) -> Corpus:
        dst = tmp_path / f"dst-{len(list(tmp_path.glob('dst-*')))}"
        prepare(Options(form, src, **options), dst, "test")
        return Corpus.open(dst)

    return make


@pytest.fixture(scope="session")
def sounding():
    """wave at 16 kHz -> (t0, t1) of what can be heard, rounded to 0.1 s."""

    def find(wave: np.ndarray) -> tuple[float, float]:
        loud = np.flatnonzero(np.abs(wave) > 0.05)
        return round(loud[0] / 16_000, 1), round(loud[-1] / 16_000, 1)

    return find


@pytest.fixture(scope="session")
def reasons():
    """corpus -> {item: why it was skipped}"""
    return lambda corpus: {one["item"]: one["reason"] for one in corpus.index["skipped"]}


@pytest.fixture
def refused(tmp_path):
    """(format, src) -> the one line with which a corpus of one bad item ends."""

    def make(form: str, src: Path) -> str:
        with pytest.raises(InputError) as error:
            prepare(Options(form, src), tmp_path / "refused", "test", strict=True)
        assert "\n" not in str(error.value)
        return str(error.value)

    return make
