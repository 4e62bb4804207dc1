"""Errands: handed over, awaited in company, told when the floor is free."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from interaction.background.partner import CANCEL
from interaction.data import world
from interaction.data.dialogue import Dialogue, Utterance, Word
from interaction.data.pack import Shape, pack
from interaction.data.scenes import errand
from interaction.grammar import MAX_TEXT, MAX_TEXT_IN, Kind
from interaction.modality.text import Text
from interaction.package import ASSETS

TEXT = Text.open(ASSETS / "nano" / "tokenizer.json")
SHAPE = Shape(1200, 60, 300)
TURN_S = 0.2


@functools.cache
def dialogues():
    mix = {"errand": 0.8, "barge_in": 0.2}
    return [world.dialogue(5, i, turns=96, mix=mix) for i in range(24)]


def of(lane: str, dialogue):
    return [u for u in dialogue.utterances if u.lane == lane]


def test_every_ending_is_there():
    tasks = [e.task for d in dialogues() for e in d.exchanges]
    assert {"acknowledge", "result", "recall", "echo"} <= set(tasks)
    told = [e.answer for d in dialogues() for e in d.exchanges if e.task == "result"]
    assert "sorry" in told and len(set(told)) > 10
    kinds = {kind for d in dialogues() for _, kind in d.control}
    assert kinds == {"clear", "break", "delegate", "cancel"}


def test_an_errand_is_acknowledged_at_once():
    for dialogue in dialogues():
        at = [t for t, kind in dialogue.control if kind == "delegate"]
        begun = [e for e in dialogue.exchanges if e.task == "acknowledge"]
        assert at == pytest.approx([e.onset for e in begun])
        assert all(0.1 <= e.onset - e.question_end <= 0.4 for e in begun)


def test_results_are_told_when_the_floor_is_free():
    """Soon after they come, or after whoever spoke then; over nobody."""
    waited = 0
    for dialogue in dialogues():
        back = of("tool", dialogue)
        told = [e for e in dialogue.exchanges if e.task == "result"]
        for came, result in zip(back, told, strict=True):
            said = result.answer if result.answer != "sorry" else "failed"
            assert came.text == said
            assert came.t0 < result.onset
            busy = [
                u for u in dialogue.utterances
                if u.lane in ("user", "agent") and u.t0 < result.onset and u.t1 > came.t0
            ]  # fmt: skip
            free = max([came.t0, *(u.t1 for u in busy)])
            waited += free > came.t0
            assert result.onset - free <= 1.0
            for u in of("user", dialogue):
                assert not u.t0 < result.onset < u.t1
    assert waited


def test_a_recalled_errand_has_no_result():
    found = 0
    for dialogue in dialogues():
        for e, after in zip(dialogue.exchanges, dialogue.exchanges[1:], strict=False):
            if after.task == "recall":
                found += 1
                assert e.task == "acknowledge" and after.answer is None
        at = [t for t, kind in dialogue.control if kind == "cancel"]
        ends = [e.question_end for e in dialogue.exchanges if e.task == "recall"]
        assert all(0.2 <= t - end <= 0.41 for t, end in zip(at, ends, strict=True))
    assert found


def test_rows_hold_what_is_read_and_handed_over(tiny):
    called_off = 0
    for dialogue in dialogues():
        row = pack(dialogue, TEXT, tiny, SHAPE)
        n = row["n_valid"]
        kind, token = row["kind"][:n], row["token"][:n]
        turn = np.cumsum(kind == Kind.TURN) - 1
        last = turn[-1] if n < SHAPE.positions - 60 else turn[-1] + 1
        at = tiny.controls_at
        read: dict[int, list[int]] = {}
        for k in sorted(set(turn[kind == Kind.TEXT_IN])):
            channel, *words = token[(kind == Kind.TEXT_IN) & (turn == k)]
            assert channel == at + Kind.BACKGROUND and 0 < len(words) <= MAX_TEXT_IN
            read[k] = words
        came = [u for u in of("tool", dialogue) if round(u.t0 / TURN_S) + 4 < last]
        text = TEXT.decode([t for words in read.values() for t in words]).split()
        want = [w for u in came for w in u.text.split()]
        assert text[: len(want)] == want
        assert set(round(u.t0 // TURN_S) for u in came) <= set(read)
        for t, what in dialogue.control:
            k = round(t / TURN_S) - 1
            if what not in ("delegate", "cancel") or k >= last:
                continue
            frame = (turn == k) & np.isin(
                kind, (Kind.DELEGATE, Kind.TEXT, Kind.SPEAK, Kind.SILENT, Kind.BREAK)
            )
            kinds = [x for x in kind[frame].tolist() if x != Kind.BREAK]
            assert kinds[0] == Kind.DELEGATE and kinds.count(Kind.TEXT) <= MAX_TEXT
            assert kinds[-1] == (Kind.SPEAK if what == "delegate" else Kind.SILENT)
            if what == "cancel":
                words = token[frame & (kind == Kind.TEXT)]
                assert TEXT.decode(words.tolist()).strip() == CANCEL
                called_off += 1
    assert called_off


def test_what_is_too_long_for_a_turn_waits(tiny):
    """Words of two channels that come at once: whole, in order, some a turn."""
    said = " ".join(f"number{k}" for k in range(9)).split()
    quiet = np.zeros(40 * 3200, np.float32)
    lanes = ("tool", "text_in")
    written = tuple(
        Utterance(lane, tuple(Word(w, 1.0, 1.0) for w in said), 1.0, 1.0) for lane in lanes
    )
    row = pack(Dialogue("d", quiet, quiet, utterances=written), TEXT, tiny, SHAPE)
    kind, token = row["kind"], row["token"]
    turn = np.cumsum(kind == Kind.TURN) - 1
    found: dict[int, list[int]] = {}
    for k in sorted(set(turn[kind == Kind.TEXT_IN])):
        channel, *words = token[(kind == Kind.TEXT_IN) & (turn == k)]
        assert 0 < len(words) <= MAX_TEXT_IN
        found.setdefault(channel - tiny.controls_at, []).extend(words)
    assert list(found) == [Kind.BACKGROUND, Kind.USER]
    assert all(TEXT.decode(words).split() == said for words in found.values())
    assert turn[kind == Kind.TEXT_IN].min() == 5


def test_numbers_are_spelled():
    said = [" ".join(errand.spelled(n)) for n in (0, 11, 20, 21, 40, 99)]
    assert said == ["zero", "eleven", "twenty", "twenty one", "forty", "ninety nine"]
    assert len({errand.spelled(n) for n in range(100)}) == 100


def test_hard_errands_must_be_read_and_remembered():
    """What comes back for a sum is seldom the sum; half come into another exchange."""
    rng = np.random.default_rng(3)
    drawn = [errand.build_hard(rng, False) for _ in range(400)]
    number = {errand.spelled(n): n for n in range(100)}
    sums = guessed = 0
    for e in drawn:
        if e.says[:2] == ("what", "is") and e.result:
            plus = e.says.index("plus")
            true = number[e.says[2:plus]] + number[e.says[plus + 1 :]]
            sums, guessed = sums + 1, guessed + (number[e.result] == true)
    assert sums > 120 and guessed < 0.05 * sums
    busy = [e for e in drawn if e.meanwhile and not e.recall]
    assert 0.55 < len(busy) / len(drawn) < 0.75  # a third of the others are, too
    true = [errand.build(np.random.default_rng(i), True) for i in range(40)]
    for e in true:
        plus = e.says.index("plus")
        want = number[e.says[2:plus]] + number[e.says[plus + 1 :]]
        assert e.result is None or number[e.result] == want


def test_only_a_mix_asks_for_errands():
    plain = [world.dialogue(1, i, turns=48) for i in range(6)]
    assert not any(of("tool", d) for d in plain)
    rng = np.random.default_rng(0)
    assert all(errand.build(rng, True).seen is False for _ in range(5))
