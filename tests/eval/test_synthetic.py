"""Synthetic samples are what they claim, and their tasks tell behaviours apart."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from eval import record, task
from eval.agents import oracle
from eval.ears import ears
from eval.judge import judge
from eval.run import run
from eval.sample import TURN_S, Act, Span
from eval.scene import yielding
from eval.task import Asked
from eval.tasks import (
    backchannel_synth,
    interruption_synth,
    localise_synth,
    overlap_synth,
    proactive_synth,
    repcount_synth,
    translate_synth,
)
from eval.utterances import speaking, utterances
from interaction.modality.audio import SAMPLE_RATE, TURN_SAMPLES

EARS = ears("text_stream", "energy")
SYNTHETIC = [name for name in task.names() if task.load(name).synthetic]


def _first(name: str, n: int, **asked):
    return list(itertools.islice(task.load(name).samples(Asked(**asked)), n))


@pytest.mark.parametrize("name", SYNTHETIC)
def test_samples_are_a_function_of_seed_and_number(name):
    every = [record.digest(s) for s in _first(name, 3)]
    assert [record.digest(s) for s in _first(name, 2, limit=2)] == every[:2]
    assert record.digest(_first(name, 1, seed=1)[0]) not in every
    assert len(set(every)) == 3


@pytest.mark.parametrize("name", SYNTHETIC)
def test_samples_are_whole(name):
    for sample in _first(name, 6):
        seconds = len(sample.audio) / SAMPLE_RATE
        assert sample.audio.dtype == np.float32 and len(sample.audio) % TURN_SAMPLES == 0
        assert 3 < seconds < 30
        assert np.abs(sample.audio[-TURN_SAMPLES:]).max() > 0, "no room behind the words"
        assert all(0 < s.t0 < s.t1 < seconds for s in sample.user), sample.user
        for s in sample.user:
            heard = sample.audio[round(s.t0 * SAMPLE_RATE) : round(s.t1 * SAMPLE_RATE)]
            assert np.abs(heard).max() > 0.01, s
        for act in sample.ideal:
            assert act.t == pytest.approx(round(act.t / TURN_S) * TURN_S)
            assert act.t < seconds
        for k, (t, pair) in enumerate(sample.frames):
            assert t == pytest.approx(k * TURN_S)
            assert pair.shape == (2, 40, 80, 3) and pair.dtype == np.uint8
        assert len(sample.frames) in (0, sample.turns)


def _changes(sample) -> list[float]:
    """How much each turn's last frame differs from the turn's before, in grey levels."""
    last = [pair[1].astype(float).mean(2) for _, pair in sample.frames]
    blurred = [f.reshape(10, 4, 20, 4).mean((1, 3)) for f in last]
    return [np.abs(b - a).max() for a, b in itertools.pairwise(blurred)]


def test_the_square_moves_when_the_truth_says_so():
    for sample in _first("localise_synth", 4):
        t0, t1 = (round(t / TURN_S) for t in sample.truth["moves"])
        moved = [k + 1 for k, change in enumerate(_changes(sample)) if change > 12]
        assert moved[0] == t0 and moved[-1] == t1 - 1
        assert len(moved) > 0.8 * (t1 - t0)  # it may turn round at an edge


def test_the_light_changes_once():
    for sample in _first("proactive_synth", 4):
        changed = [k + 1 for k, change in enumerate(_changes(sample)) if change > 12]
        assert changed == [round(sample.truth["reply_timespan"][0] / TURN_S)]


def test_the_dot_is_on_the_floor_between_its_bounces():
    for sample in _first("repcount_synth", 4):
        height = []
        for _, pair in sample.frames:
            bright = pair[1].astype(int)[..., 0] > 150
            height.append(np.nonzero(bright)[0].mean())
        low = np.array(height) > 29
        leaps = np.flatnonzero(low[:-1] & ~low[1:])
        landings = np.array(sample.truth["landings"])
        assert len(landings) == sample.truth["count"]
        assert len(leaps) <= sample.truth["count"]  # it may leap between two frames
        assert low[round(landings[-1] / TURN_S) + 1 :].all()


def _words(*said: tuple[str, float]) -> list[Span]:
    return [Span(text, t, t + 0.4) for text, t in said]


COUNT = "one two three four".split()


@pytest.mark.parametrize(
    ("before", "behind", "answer", "did"),
    [
        ("one two", "three four", None, "resume"),
        ("one two", "yes three four", None, "respond"),
        ("one two", "sorry", None, "uncertain"),
        ("one two three four", "", None, "unknown"),
        ("one two", "", None, "unknown"),
        ("one two", "three", None, "unknown"),
        ("one three", "four", None, "unknown"),
        ("one two", "red apple", "red apple", "respond"),
        ("one two", "three red apple", "red apple", "respond"),
        ("one two", "three four", "red apple", "resume"),
        ("one two", "red", "red apple", "unknown"),
    ],
)
def test_overlap_tells_behaviours_apart(before, behind, answer, did):
    found = overlap_synth.behaviour(before.split(), behind.split(), COUNT, answer)
    assert found == did


def _scripted(sample, tmp_path, *ideal) -> tuple[record.Record, dict]:
    """What a task measures of a system that does this in a sample."""
    name = f"{sample.id.split('-')[0]}_synth"
    run(oracle.open({}), iter([replace(sample, ideal=ideal)]), tmp_path, "lockstep")
    kept = record.load(tmp_path / sample.id)
    return kept, task.load(name).measure(kept, EARS, judge("none"))


def test_a_question_is_not_answered_by_what_was_begun_before(tmp_path):
    for sample in _first("interruption_synth", 8):
        if sample.truth["answer"] is None:
            continue
        t0 = sample.truth["interruption"][0]
        stops = yielding(t0)
        brief = dict(sample.truth, interruption=[t0, t0 + 0.1])  # over before it is obeyed
        then = Act(stops + TURN_S, brief["answer"])
        script = (sample.ideal[0], Act(stops, ""), then)
        _, row = _scripted(replace(sample, truth=brief), tmp_path, *script)
        assert row["yielded"] == row["right"] == 1
        assert row["latency"] == pytest.approx(then.t - t0 - 0.1, abs=0.005)


def test_only_what_comes_behind_a_request_takes_the_turn(tmp_path):
    sample = _first("tools_synth", 1)[0]
    _, row = _scripted(sample, tmp_path, Act(0.4, "red"))
    assert row["took_turn"] == 0


def test_tools_answer_before_an_ideal_system_tells_of_it(tmp_path):
    for sample in _first("tools_synth", 4):
        kept, row = _scripted(sample, tmp_path, *sample.ideal)
        assert [name for _, name, _ in kept.results] != []
        assert max(t for t, _, _ in kept.results) == pytest.approx(
            sample.ideal[-1].t - TURN_S
        )
        assert all(word in kept.results[0][2] for word in sample.truth["tell"][:1])


def test_calls_are_judged_by_their_arguments(tmp_path):
    sample = next(s for s in _first("tools_synth", 8) if s.truth["family"] == "corrected")
    call = sample.ideal[0]
    wrong = dict.fromkeys(call.arguments, "somewhere else")
    _, row = _scripted(sample, tmp_path, replace(call, arguments=wrong))
    assert (row["tool_f1"], row["arguments"], row["passed"]) == (1, 0, 0)


def test_timing_is_told_of_interruptions():
    said = [(1.0, 3.4), (5.0, 6.0)]
    timed = {"was_speaking": 1, "stop_latency": pytest.approx(0.4),
             "response_latency": pytest.approx(0.5)}  # fmt: skip
    assert overlap_synth.timing(said, 3.0, 4.5, True) == timed
    none = {"stop_latency": None, "response_latency": None}
    assert overlap_synth.timing(said, 3.0, 4.5, False) == none | {"was_speaking": 1}
    late = overlap_synth.timing(said, 3.5, 4.5, True)
    assert late == timed | {"was_speaking": 0, "stop_latency": None}


@pytest.mark.parametrize(
    ("stopped", "end", "yielded", "kept"),
    [(3.4, 4.5, 1, 0), (3.7, 4.5, 0, 0), (4.5, 4.5, 0, 1), (3.5, 3.2, 1, 0)],
)
def test_who_yields(stopped, end, yielded, kept):
    assert interruption_synth.obeyed(stopped, 3.0, end) == {
        "was_speaking": 1, "yielded": yielded, "kept_talking": kept,
        "stop_latency": pytest.approx(stopped - 3.0),
    }  # fmt: skip


def test_backchannels_have_their_places():
    places = [(2.0, 3.0), (5.0, 6.0)]
    said = [Span("yeah", 2.1, 2.4), Span("yeah", 4.0, 4.4), Span("so i think", 5.1, 6.5)]
    row = backchannel_synth.placed(said, places)
    assert row == {"precision": 1 / 3, "recall": 0.5, "f1": pytest.approx(0.4)}


def test_the_last_number_counts():
    words = _words(("two", 3.0), ("three", 4.0), ("times", 4.5))
    assert repcount_synth.counted(words, 3.5) == 3
    assert repcount_synth.counted(words, 4.2) is None
    assert repcount_synth.counted(_words(("12.", 5.0)), 0.0) == 12


def test_an_interval_needs_both_words():
    said = [("stop", 1.0), ("Start!", 2.0), ("stop", 4.5), ("stop", 6.0)]
    assert localise_synth.found(_words(*said)) == (2.0, 4.5)
    assert localise_synth.found(_words(*said[:2])) is None


def test_replies_are_worth_what_they_name():
    truth = {"answer": "red", "reply_timespan": [5, 9], "related_timespan": [5, 7]}
    said = _words(("red", 4.0), ("something", 5.5), ("it is red", 6.0), ("blue", 8.0))
    assert proactive_synth.replies(said, truth) == [(5.5, 0), (6.0, 2)]
    assert proactive_synth.worth("red or blue", "red") == 1


def test_translations_come_behind_their_words():
    source = [("uno", 1.0, 1.5), ("dos", 3.0, 3.5), ("tres", 5.0, 5.5)]
    english = ["one", "two", "three"]
    said = _words(("two", 0.5), ("one", 2.0), ("two", 4.0), ("three", 4.5))
    assert translate_synth.lags(said, source, english) == [0.5, 0.5]


def test_utterances_and_speech():
    words = [Span("a", 0.0, 0.4), Span("b", 0.6, 1.0), Span("c", 1.5, 1.8)]
    assert utterances(words) == [Span("a b", 0.0, 1.0), Span("c", 1.5, 1.8)]
    assert speaking([(0.0, 1.0), (1.1, 2.0), (3.0, 4.0)], 1.05) == (0.0, 2.0)
    assert speaking([(0.0, 1.0), (1.5, 2.0)], 1.2) is None
