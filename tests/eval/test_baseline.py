"""The turn-based system: its parts, and what it does in a conversation."""

from __future__ import annotations

import numpy as np
import pytest

from eval.agent import Heard
from eval.agents import baseline
from eval.detector import FRAME_S, Detector
from eval.recogniser import WORSE, recogniser
from eval.rules import Reply, reply
from eval.sample import TURN_S, Sample, whole_turns
from interaction.data.acoustics import SPEECH_RMS, level
from interaction.data.espeak import speak
from interaction.data.scenes.statements import STATEMENTS
from interaction.data.voices import HELD_OUT_VOICES
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE, TURN_SAMPLES

VOICE = HELD_OUT_VOICES[0]


def said(*pieces: str | float) -> np.ndarray:
    """Sentences, and silences in seconds, over a noise 25 dB below speech."""
    waves = [
        level(speak(piece.split(), VOICE).wave, SPEECH_RMS)
        if isinstance(piece, str)
        else np.zeros(round(piece * SAMPLE_RATE), np.float32)
        for piece in pieces
    ]
    wave = whole_turns(np.concatenate(waves))
    noise = np.random.default_rng(0).standard_normal(len(wave)).astype(np.float32)
    return wave + noise * SPEECH_RMS * np.float32(10 ** (-25 / 20))


def converse(wave: np.ndarray, arguments: dict | None = None) -> list[tuple[float, str]]:
    """(t, text) of what is said, each word at its turn; "" where it stops."""
    talk = baseline.open(arguments or {}).open([Sample("s", wave)])
    out = []
    for k, turn in enumerate(wave.reshape(-1, TURN_SAMPLES)):
        [done] = talk.step([Heard(turn)])
        t = round((k + 1) * TURN_S, 3)
        out += [(t, "")] if done.cleared else []
        out += [(t, word) for word in done.text.split()]
    return out


def end_of(*pieces: str | float) -> float:
    """When the last piece has been said, before it is filled up to a turn."""
    lengths = [
        len(speak(p.split(), VOICE).wave) / SAMPLE_RATE if isinstance(p, str) else p
        for p in pieces
    ]
    return sum(lengths)


@pytest.mark.parametrize("snr_db", [15.0, 35.0, np.inf])
def test_the_detector_hears_speech_and_not_noise(snr_db):
    rng = np.random.default_rng(1)
    speech = level(speak("say red apple".split(), VOICE).wave, SPEECH_RMS)
    wave = whole_turns(np.concatenate([np.zeros(16_000, np.float32), speech]), 4.0)
    noise = SPEECH_RMS * np.float32(10 ** (-snr_db / 20))
    wave += noise * rng.standard_normal(len(wave)).astype(np.float32)
    detector = Detector()
    flags = np.array([f for turn in wave.reshape(-1, 3_200) for f in detector.push(turn)])
    at = np.flatnonzero(flags) * FRAME_S
    assert at[0] == pytest.approx(1.0, abs=0.1)
    assert at[-1] == pytest.approx(1.0 + len(speech) / SAMPLE_RATE, abs=0.15)
    assert flags[50 : 50 + len(speech) // 320].mean() > 0.6


def test_the_detector_is_causal_and_streams():
    wave = said(0.6, "what is two plus three", 1.0)
    whole = Detector().push(wave)
    pieces = Detector()
    streamed = [f for turn in wave.reshape(-1, 3_200) for f in pieces.push(turn)]
    assert streamed == whole


@pytest.mark.parametrize(
    ("words", "answer"),
    [("say red apple", Reply("red apple")), ("please repeat river", Reply("river")),
     ("what is seven plus eight", Reply("fifteen")),
     ("what is seven minus seven", Reply("zero")), ("what is two minus three", None),
     ("count to three", Reply("one two three")),
     ("say hello in two seconds", Reply("hello", 2.0)), ("be quiet", None),
     ("what color is it", None)],
)  # fmt: skip
def test_rules(words, answer):
    assert reply(words.split()) == answer


@pytest.mark.parametrize(
    "text", ["say monkey", "what is nine minus four", "please say blue window"]
)
def test_words_are_recognised(text):
    found = recogniser()(said(0.1, text, 0.1))
    assert (" ".join(found.words), found.whole) == (text, True)
    assert found.distance < WORSE


def test_the_beginning_of_a_question_is_none():
    found = recogniser()(said(0.1, "what is nine", 0.1))
    assert found.words == ("what", "is", "nine") and not found.whole


def test_what_it_does_not_know_is_further_from_all_it_knows():
    far = [recogniser()(said(0.1, " ".join(s), 0.1)).distance for s in STATEMENTS[:5]]
    asked = (
        "say monkey",
        "what is nine minus four",
        "count to six",
        "say go in one second",
    )
    near = [recogniser()(said(0.1, text, 0.1)).distance for text in asked]
    assert np.median(far) > 1.3 * np.median(near)


@pytest.mark.parametrize("silence", [0.4, 0.8])
def test_it_answers_when_the_silence_is_over(silence):
    question = (0.5, "what is nine minus four")
    [(t, word)] = converse(said(*question, 3.0), {"silence": str(silence)})
    assert word == "five"
    assert silence - 0.1 <= t - end_of(*question) <= silence + 0.3


def test_a_pause_that_ends_its_turn_does_not_lose_the_question():
    wave = said(0.5, "what is nine", 0.9, "minus four", 2.0)
    assert [word for _, word in converse(wave)] == ["five"]


def test_it_stops_when_the_user_speaks():
    first = (0.5, "count to ten")
    wave = said(*first, 2.5, "what is nine minus four", 3.0)
    spoken = converse(wave)
    cut = next(t for t, word in spoken if not word)
    begins = end_of(*first, 2.5)
    assert 0 <= cut - begins <= 0.6
    before = [word for t, word in spoken if t < cut]
    assert before == "one two three four five six".split()[: len(before)] and before
    assert [word for t, word in spoken if t > cut] == ["five"]


def test_a_word_that_is_asked_for_later_is_said_later():
    question = (0.5, "say hello in two seconds")
    [(t, word)] = converse(said(*question, 4.0))
    assert word == "hello" and 1.9 <= t - end_of(*question) <= 2.3


@pytest.mark.parametrize("given", [{"silence": "0"}, {"silence": "x"}, {"pause": "1"}])
def test_arguments_are_checked(given):
    with pytest.raises(InputError, match="--agent_args: baseline"):
        baseline.open(given)
