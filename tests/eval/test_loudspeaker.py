"""A play buffer: order, words with their sound, what is dropped, what has passed."""

from __future__ import annotations

import numpy as np
import pytest

from eval.loudspeaker import Loudspeaker, Rate
from interaction.modality.audio import TURN_SAMPLES


class Clock:
    t = 100.0

    def __call__(self) -> float:
        return self.t


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def speaker(clock):
    return Loudspeaker(16_000, clock)


def ramp(n: int, first: int = 1) -> np.ndarray:
    return np.arange(first, first + n, dtype=np.float32)


def test_sound_plays_in_order_with_silence_where_there_is_none(speaker):
    assert not speaker.turn().audio.any()
    speaker.play(ramp(2_000))
    speaker.play(ramp(2_000, 2_001))
    assert np.array_equal(speaker.turn().audio, ramp(3_200))
    last = speaker.turn().audio
    assert np.array_equal(last[:800], ramp(800, 3_201)) and not last[800:].any()


def test_words_wait_for_their_sound(speaker):
    """Those of a piece that has begun are said next."""
    speaker.turn()
    speaker.write("a")
    assert speaker.turn().text == "a"
    speaker.play(ramp(5_000))
    speaker.write(" b")
    speaker.play(ramp(5_000))
    speaker.write(" c")
    assert [speaker.turn().text for _ in range(2)] == [" b", " c"]
    speaker.write(" d")
    assert [speaker.turn().text for _ in range(2)] == [" d", ""]


def test_who_yields_says_nothing_of_what_had_not_begun(speaker):
    speaker.turn()
    speaker.play(ramp(4_000))
    speaker.turn()
    speaker.write(" begun")
    speaker.play(ramp(4_000))
    speaker.write(" not begun")
    speaker.clear()
    said = speaker.turn()
    assert (said.text, said.cleared) == (" begun", True) and not said.audio.any()
    speaker.clear()
    assert not speaker.turn().cleared  # there was nothing
    speaker.play(ramp(10))
    speaker.write(" anew")
    assert speaker.turn().text == " anew"


def test_what_came_before_the_first_turn_has_played_by_then(speaker, clock):
    speaker.play(ramp(8_000))
    speaker.write("greeting")
    clock.t += 0.4
    said = speaker.turn()
    assert said.text == "greeting"
    assert np.array_equal(said.audio[:1_600], ramp(1_600, 6_401))
    assert not said.audio[1_600:].any()
    speaker.play(ramp(3_200))
    clock.t += 9.0
    assert np.array_equal(speaker.turn().audio, ramp(3_200))


def test_calls_are_told_once(speaker):
    speaker.call("add", {"a": 1})
    assert speaker.turn().calls == (("add", {"a": 1}),)
    assert speaker.turn().calls == ()


def test_a_stream_of_another_rate_keeps_time():
    """A tone through 24 kHz and back is late by 40 ms at most, and loses nothing."""
    there, back = Rate(16_000, 24_000), Rate(24_000, 16_000)
    tone = np.sin(np.arange(20 * TURN_SAMPLES) * 0.1).astype(np.float32)
    turns = tone.reshape(20, -1)
    out = np.concatenate([back.push(there.push(turn)) for turn in turns])
    assert 0 <= len(tone) - len(out) < 640
    assert np.abs(out - tone[: len(out)])[100:-100].max() < 0.01
