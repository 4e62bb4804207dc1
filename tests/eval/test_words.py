"""Where words come from: a recogniser over HTTP, and a text aligned to its sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eval import record as records
from eval.agent import Heard, Said, Solo
from eval.ears import Unheard, ears
from eval.endpoint import KEY
from eval.run import run
from eval.sample import Sample
from eval.voice import Mouth
from eval.words.asr import Recogniser
from eval.words.forced_align import align
from interaction.data.espeak import agent_speech
from interaction.errors import InputError
from tests.background.conftest import Process

SENTENCES = (
    "red blue green",
    "seven and five make twelve",
    "the answer is forty two",
    "i will remind you in four seconds",
    "please turn left at the second light and then go straight on",
    "paris is the capital of france",
    "there are three apples and nine oranges on the table",
)


class _Says:
    """Says texts in given turns, each over the last. Where `late`, its text comes with a
    text's first word, all at once."""

    def __init__(self, texts: dict[int, str], at_once: bool = False) -> None:
        self._texts, self._at_once = texts, at_once
        self._mouth, self._turn = Mouth(), 0

    def step(self, heard: Heard) -> Said:
        self._turn += 1
        text = self._texts.get(self._turn, "")
        if text:
            self._mouth.say(text)
        said = self._mouth.turn()
        return Said(said.audio, f" {text}" if text else "") if self._at_once else said

    def close(self) -> None:
        pass


def recorded(texts: dict[int, str], folder: Path, at_once: bool = False, turns: int = 40):
    sample = Sample("a", np.zeros(turns * 3200, np.float32))
    agent = Solo("says", lambda s: _Says(texts, at_once))
    run(agent, iter([sample]), folder, "lockstep")
    return records.load(folder / "a")


def test_onsets_of_aligned_words():
    """As the documentation says: half within 10 ms, nine of ten within 60 ms."""
    errors = []
    for sentence in SENTENCES:
        spoken = agent_speech(sentence.split())
        quiet = np.zeros(1600, np.float32)
        found = align(np.concatenate([quiet, spoken.wave, quiet]), sentence.split())
        starts = [word.t0 + 0.1 for word in spoken.words]
        errors += [t0 - want for (t0, _), want in zip(found, starts, strict=True)]
    errors = np.abs(errors)
    assert len(errors) == 48
    assert np.median(errors) <= 0.0101 and np.quantile(errors, 0.9) <= 0.06
    assert errors.max() < 0.25


def test_text_is_aligned_where_it_sounds(tmp_path):
    """All of a text is written at once, twice; each word is put where it is heard."""
    texts = {2: "seven and five make twelve", 20: "Paris, is the capital of France!"}
    record = recorded(texts, tmp_path, at_once=True)
    words = ears("forced_align", "energy").words(record)
    assert [w.text for w in words] == " ".join(texts.values()).split()
    want = []
    for turn, text in texts.items():
        plain = text.lower().replace(",", "").replace("!", "").split()
        want += [turn * 0.2 + word.t0 for word in agent_speech(plain).words]
    off = np.abs(np.array([w.t0 for w in words]) - want)
    assert off.max() < 0.1 and np.median(off) < 0.03
    stream = ears("text_stream", "energy").words(record)
    assert np.abs(np.array([w.t0 for w in stream]) - want).max() > 0.3


def test_words_that_no_dictionary_has(tmp_path):
    record = recorded({2: "my name is xyzzy and i am 42"}, tmp_path)
    words = ears("forced_align", "energy").words(record)
    assert [w.text for w in words][3] == "xyzzy" and len(words) == 8
    assert all(a.t0 <= b.t0 for a, b in zip(words, words[1:], strict=False))


def test_text_without_sound_is_no_speech(tmp_path):
    sample = Sample("a", np.zeros(10 * 3200, np.float32))

    class Writer:
        def step(self, heard: Heard) -> Said:
            return Said(text=" word")

        def close(self) -> None:
            pass

    run(Solo("writer", lambda s: Writer()), iter([sample]), tmp_path, "lockstep")
    assert ears("forced_align", "energy").words(records.load(tmp_path / "a")) == []


def test_text_that_is_not_what_sounds_is_named(tmp_path):
    long = " ".join(["unquestionably"] * 40)

    class Liar(_Says):
        def step(self, heard: Heard) -> Said:
            said = super().step(heard)
            return Said(said.audio, f" {long}" if said.text else "")

    sample = Sample("a", np.zeros(10 * 3200, np.float32))
    run(Solo("liar", lambda s: Liar({2: "red"})), iter([sample]), tmp_path, "lockstep")
    with pytest.raises(Unheard, match="does not align with its text"):
        ears("forced_align", "energy").words(records.load(tmp_path / "a"))


@pytest.fixture(scope="module")
def server():
    started = Process(str(Path(__file__).with_name("small_endpoint.py")), "{port}")
    yield started
    started.end()


def test_a_recogniser_over_http(server, tmp_path, monkeypatch):
    monkeypatch.setenv(KEY, "sk-test")
    record = recorded({2: "red", 20: "blue"}, tmp_path)
    url = f"http://127.0.0.1:{server.port}/v1"
    heard = ears(f"asr:nvidia/parakeet@{url}", "energy")
    assert heard.words_from == f"asr:nvidia/parakeet@{url}"
    words = heard.words(record)
    assert [w.text for w in words] == ["word0", "word1"]
    assert abs(words[0].t0 - 0.4) < 0.02 and abs(words[1].t0 - 4.0) < 0.02
    before = server.ask("/asked")
    assert ears(f"asr:nvidia/parakeet@{url}", "energy").words(record) == words
    assert server.ask("/asked") == before, "what was heard is kept"
    other = recorded({2: "green", 10: "red", 20: "blue"}, tmp_path / "other")
    kept = next(iter(record.path.glob("asr-*.json")))
    (other.path / kept.name).write_text(kept.read_text())  # of another sound
    assert len(heard.words(other)) == 3


def test_a_recogniser_that_gives_no_times_or_nothing(server, tmp_path, monkeypatch):
    monkeypatch.setenv(KEY, "sk-test")
    record = recorded({2: "red"}, tmp_path)
    url = f"http://127.0.0.1:{server.port}/v1"
    with pytest.raises(Unheard, match="a: the recogniser gives words without times"):
        Recogniser("silent", url)(record, [])
    with pytest.raises(Unheard, match="a: the recogniser: HTTP 429"):
        Recogniser("busy", url, tries=1)(record, [])
    with pytest.raises(InputError, match="HTTP 404"):
        Recogniser("m", f"{url}/nowhere", tries=1)(record, [])
    assert not list(record.path.glob("asr-*"))
