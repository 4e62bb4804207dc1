"""Speech: equal bits for equal arguments, and words where their sound is."""

import numpy as np
import pytest

from interaction.data.dialogue import Word
from interaction.data.espeak import agent_speech, speak
from interaction.data.scenes.statements import STATEMENTS
from interaction.data.voices import (
    AGENT_VOICE,
    HELD_OUT_VOICES,
    TRAIN_VOICES,
    Voice,
    sample_user_voice,
)
from interaction.modality.audio import SAMPLE_RATE

QUESTION = "what is three plus four".split()


def sound_of(wave: np.ndarray, word: Word) -> np.ndarray:
    return wave[round(word.t0 * SAMPLE_RATE) : round(word.t1 * SAMPLE_RATE)]


@pytest.mark.parametrize("voice", [Voice("en", "m3"), Voice("en-us", "adam", 180, 60)])
def test_same_bits_whatever_was_said_before(voice):
    first = speak(QUESTION, voice)
    speak(["hello"], Voice("en-029", "f2", 200, 30, 80))
    second = speak(QUESTION, voice)
    assert first.wave.tobytes() == second.wave.tobytes()
    assert first.words == second.words


def test_rate_and_pitch_change_the_sound():
    slow, fast = (speak(QUESTION, Voice("en", "m3", rate)) for rate in (140, 200))
    assert slow.seconds > 1.2 * fast.seconds
    low, high = (speak(QUESTION, Voice("en", "m3", pitch=p)) for p in (35, 65))
    assert not np.array_equal(low.wave[:4000], high.wave[:4000])


@pytest.mark.parametrize("voice", TRAIN_VOICES[::5] + HELD_OUT_VOICES[::3])
def test_words_follow_one_another_and_sound(voice):
    spoken = speak(QUESTION, voice)
    assert [word.text for word in spoken.words] == QUESTION
    times = [t for word in spoken.words for t in (word.t0, word.t1)]
    assert times == sorted(times)
    assert times[0] == pytest.approx(0, abs=0.03)
    assert times[-1] == pytest.approx(spoken.seconds, abs=1e-6)
    peak = np.abs(spoken.wave).max()
    for word in spoken.words:
        assert word.t1 - word.t0 > 0.04
        assert np.abs(sound_of(spoken.wave, word)).max() > 0.1 * peak


def test_word_boundaries_are_where_the_words_are():
    """The sound inside a word's span is the word: a vowel in it changes only it."""
    voice = Voice("en-us", "m3")
    a, b = speak("say ten now".split(), voice), speak("say two now".split(), voice)
    edge = int(a.words[1].t0 * SAMPLE_RATE) - 400
    assert np.abs(a.wave[:edge] - b.wave[:edge]).max() < 0.3 * np.abs(a.wave).max()
    assert a.words[0].t1 == pytest.approx(b.words[0].t1, abs=0.03)
    assert a.words[1].t1 - a.words[1].t0 != pytest.approx(
        b.words[1].t1 - b.words[1].t0, abs=0.005
    )


def test_trimmed_edges_and_level():
    wave = speak(["stop"], Voice("en-us", "m3")).wave
    assert wave.dtype == np.float32
    loud = np.flatnonzero(np.abs(wave) > 0.02 * np.abs(wave).max())
    assert loud[0] < 0.03 * SAMPLE_RATE and loud[-1] > len(wave) - 0.06 * SAMPLE_RATE
    assert 0.05 < np.abs(wave).max() < 1


def test_words_that_espeak_joins_get_times():
    words = "he is on the island in the morning of the day".split()
    spoken = speak(words, Voice("en", "f1"))
    assert [word.text for word in spoken.words] == words
    assert all(word.t1 > word.t0 for word in spoken.words)
    for statement in STATEMENTS[::8]:
        assert len(speak(statement, Voice("en", "f1")).words) == len(statement)


def test_unknown_voice():
    with pytest.raises(ValueError, match="no voice"):
        speak(["hello"], Voice("en-gb-none", "m3"))


def test_agent_words_always_sound_the_same():
    alone = agent_speech(("tiger",))
    both = agent_speech(("seven", "tiger"))
    second = both.words[1]
    assert np.array_equal(sound_of(both.wave, second), alone.wave)
    start = round(second.t0 * SAMPLE_RATE)
    assert start % 800 == 0
    assert 0.04 <= second.t0 - both.words[0].t1 < 0.04 + 0.05
    assert np.abs(both.wave).max() == pytest.approx(0.5, abs=1e-3)


def test_voices_are_split():
    variants = [v.variant for v in (*TRAIN_VOICES, *HELD_OUT_VOICES, AGENT_VOICE)]
    assert len(set(variants)) == len(variants)
    rng = np.random.default_rng(0)
    drawn = {sample_user_voice(rng, True).variant for _ in range(200)}
    assert drawn == {v.variant for v in HELD_OUT_VOICES}
    assert not drawn & {sample_user_voice(rng, False).variant for _ in range(200)}


@pytest.mark.parametrize(("language", "word"), [("es", "agua"), ("fr", "fenêtre")])
def test_other_languages_have_their_own_sounds(language, word):
    foreign = speak((word,), Voice(language, "f5"))
    english = speak((word,), Voice("en-us", "f5"))
    assert 0.1 < foreign.seconds < 0.8
    n = min(len(foreign.wave), len(english.wave))
    assert not np.array_equal(foreign.wave[:n], english.wave[:n])
