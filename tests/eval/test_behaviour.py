"""Scores of systems whose behaviour is known in advance."""

from __future__ import annotations

import numpy as np
import pytest

from eval.behaviour import TURN_S, Tally, Turn, score
from eval.intervals import bootstrap, wilson
from interaction.data import world
from interaction.data.dialogue import Dialogue

TURNS = 64


@pytest.fixture(scope="module")
def dialogues() -> list[Dialogue]:
    return [world.dialogue(11, i, split="held_out_voices", turns=TURNS) for i in range(40)]


def oracle(dialogue: Dialogue, delay: int = 0) -> list[Turn]:
    """What the dialogue itself says the agent does, `delay` turns late."""
    clears = {round(t / TURN_S) for t, what in dialogue.control if what == "clear"}
    turns = []
    for k in range(1, TURNS + 1):
        speaks, text = False, ""
        for u in dialogue.utterances:
            end = u.t1 if u.cut is None else u.cut
            if u.lane == "agent":
                speaks |= (
                    u.t0 - 1e-6 < k * TURN_S + TURN_S
                    and u.t0 < (k + 1) * TURN_S - 1e-6
                    and end > k * TURN_S + 1e-6
                )
                for w in u.words:
                    if k * TURN_S - 1e-6 <= w.t0 < (k + 1) * TURN_S - 1e-6:
                        text += " " + w.text
        turns.append(Turn((k + delay) * TURN_S, speaks, text, k in clears))
    return turns


def run(dialogues, system) -> Tally:
    tally = Tally()
    for dialogue in dialogues:
        score(dialogue, system(dialogue), tally)
    return tally


def rate(tally: Tally, name: str) -> float:
    values = tally.rates[name]
    assert values
    return sum(values) / len(values)


def test_the_oracle_is_perfect(dialogues):
    tally = run(dialogues, oracle)
    for name in ("echo", "arithmetic", "seen", "count", "timed", "pause survived"):
        assert rate(tally, name) == 1, name
    for name in ("yields to a barge-in", "was speaking at a barge-in", "stays silent"):
        assert rate(tally, name) == 1, name
    assert rate(tally, "starts mid-sentence") == rate(tally, "speaks over a question") == 0
    assert 0.1 <= np.median(tally.onsets) <= 0.3


def test_a_late_oracle_is_right_but_late(dialogues):
    tally = run(dialogues, lambda d: oracle(d, delay=2))
    on_time = np.median(run(dialogues, oracle).onsets)
    assert np.median(tally.onsets) == pytest.approx(on_time + 0.4, abs=0.02)


def test_silence_answers_nothing(dialogues):
    silent = [Turn(k * TURN_S, False, "", False) for k in range(1, TURNS + 1)]
    tally = run(dialogues, lambda d: silent)
    assert rate(tally, "echo") == rate(tally, "arithmetic") == 0
    assert rate(tally, "stays silent") == 1
    assert rate(tally, "was speaking at a barge-in") == 0
    assert np.isinf(tally.onsets).all()


def test_always_talking_never_yields(dialogues):
    talk = [Turn(k * TURN_S, True, " red", False) for k in range(1, TURNS + 1)]
    tally = run(dialogues, lambda d: talk)
    assert rate(tally, "yields to a barge-in") == 0
    assert rate(tally, "stays silent after a hush") == 0
    assert rate(tally, "stays silent") == 0
    assert rate(tally, "speaks over a question") > 0.95  # some questions fit in a turn
    assert rate(tally, "echo") == 0


def test_clearing_without_falling_silent_is_no_yield(dialogues):
    talk_on = [
        [Turn(t.t, True, "", t.cleared) for t in oracle(dialogue)] for dialogue in dialogues
    ]
    turns = iter(talk_on)
    assert rate(run(dialogues, lambda d: next(turns)), "yields to a barge-in") == 0


def test_starting_every_other_turn_breaks_everything(dialogues):
    stutter = [Turn(k * TURN_S, k % 2 == 0, "", False) for k in range(1, TURNS + 1)]
    tally = run(dialogues, lambda d: stutter)
    assert rate(tally, "starts mid-sentence") == 1
    assert rate(tally, "stays silent") < 0.2


def test_wilson_against_known_values():
    low, high = wilson(8, 10)
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)
    assert wilson(0, 0) == (0.0, 1.0)


def test_bootstrap_holds_the_statistic():
    values = np.random.default_rng(0).normal(3.0, 1.0, 400)
    low, high = bootstrap(values, np.median)
    assert low < np.median(values) < high and high - low < 0.4
