"""Published formulas on cases that were computed by hand."""

from __future__ import annotations

import pytest

from eval import on_time
from eval.formulas import pauc, repetition, temporal, tool_calls
from eval.sample import Span


@pytest.mark.parametrize(
    ("scored", "at_0", "at_half", "at_1"),
    [
        ([], 0.25, 0.25, 0.25),  # silent
        ([(2.0, 2)], 1.0, 1.0, 1.0),  # perfect at the start
        ([(12.0, 2)], 0.25, 0.625, 1.0),  # perfect at the end
        ([(2.0, 0)], 0.0, 0.0, 0.0),  # wrong at the start
        ([(2.0, 1)], 0.5, 0.5, 0.5),  # half right at the start
        # Of 10 s: 1 at 2 s, 2 at 6 s. At 0: (2 * 0.5 + 4 * 1 + 4 * 2) / 20.
        ([(4.0, 1), (8.0, 2)], 0.65, 0.825, 1.0),
    ],
)
def test_pauc(scored, at_0, at_half, at_1):
    for omega, value in ((0.0, at_0), (0.5, at_half), (1.0, at_1)):
        assert pauc.pauc(scored, 2.0, 12.0, omega) == pytest.approx(value, abs=1e-12)


def test_pauc_forgives_what_is_said_when_the_moment_has_passed():
    scored = [(1.0, 0), (3.0, 2), (5.0, 1), (6.0, 2)]
    assert pauc.kept(scored, related_end=4.0) == [(1.0, 0), (3.0, 2), (6.0, 2)]
    assert pauc.kept(scored, related_end=0.5) == scored
    assert pauc.kept(scored, related_end=9.0) == scored


def test_repetitions():
    assert [repetition.off_by_one(p, 5) for p in (3, 4, 5, 6, 7)] == [0, 1, 1, 1, 0]
    assert repetition.relative_error(7, 5) == pytest.approx(2 / 5.1)
    assert repetition.relative_error(5, 5) == 0
    assert repetition.relative_error(1, 0) == pytest.approx(10)


@pytest.mark.parametrize(
    ("found", "value"),
    [
        ((2.0, 6.0), 1.0),
        ((4.0, 8.0), 2 / 6),
        ((3.0, 5.0), 0.5),
        ((0.0, 10.0), 0.4),
        ((7.0, 9.0), 0.0),
        ((6.0, 2.0), 0.0),
        (None, 0.0),
    ],
)
def test_temporal_overlap(found, value):
    assert temporal.iou(found, (2.0, 6.0)) == pytest.approx(value)
    for least in (0.3, 0.5, 0.7):
        assert temporal.recalled(found, (2.0, 6.0), least) == (value >= least)


WEATHER = ("get_weather", {"city": "Boston"})
TIMER = ("set_timer", {"minutes": 5})


@pytest.mark.parametrize(
    ("made", "expected", "f1", "arguments", "passed"),
    [
        ([WEATHER], [WEATHER], 1, 1, 1),
        ([], [WEATHER], 0, 0, 0),
        ([], [], 1, 1, 1),
        ([WEATHER, TIMER], [WEATHER], 2 / 3, 1, 0),  # precision 1/2, recall 1
        ([WEATHER], [WEATHER, WEATHER], 2 / 3, 0.5, 0),
        ([WEATHER], [WEATHER, TIMER], 2 / 3, 0.5, 0),
        ([("get_weather", {"city": " boston"})], [WEATHER], 1, 1, 1),
        ([("get_weather", {"city": "Denver"})], [WEATHER], 1, 0, 0),
        ([("get_weather", {})], [WEATHER], 1, 0, 0),
        ([("set_timer", {"minutes": "5", "label": "tea"})], [TIMER], 1, 0, 0),
        ([TIMER], [("set_timer", {"minutes": "$found.minutes"})], 1, 1, 1),
        ([TIMER, WEATHER], [WEATHER, TIMER], 1, 1, 1),
        # Calls of one tool are compared in order.
        ([("t", {"a": 1}), ("t", {"a": 2})], [("t", {"a": 2}), ("t", {"a": 1})], 1, 0, 0),
    ],
)
def test_tool_calls(made, expected, f1, arguments, passed):
    assert tool_calls.f1(made, expected) == pytest.approx(f1)
    assert tool_calls.arguments(made, expected) == pytest.approx(arguments)
    assert tool_calls.passed(made, expected) == passed


def _row(*said: tuple[str, float]):
    spans = [Span(text, t, t + 0.4) for text, t in said]
    return on_time.measured(spans, "in", ["go"], (10.0, 10.2), [(4.0, 4.2)])


def test_on_time_takes_the_meaning_and_the_moment():
    for t, rights in ((10.1, [1, 1, 1]), (9.5, [1, 1, 1]), (10.8, [0, 1, 1]),
                      (8.9, [0, 0, 1]), (12.3, [0, 0, 0])):  # fmt: skip
        row = _row(("Go!", t))
        assert [row[f"right_{name}"] for name in on_time.WIDER] == rights, t
        assert row["meant"] == 1
    assert _row(("go go", 10.0))["meant"] == 0
    assert _row(("stop", 10.0))["right_2s"] == 0
    assert _row(("go", 12.0))["off"] == pytest.approx(1.8)


def test_on_time_knows_who_speaks_all_the_time():
    assert _row(("go", 10.0))["only"] == 1
    assert _row(("go", 4.1), ("go", 10.0))["only"] == 1  # asked for as well
    assert _row(("go", 7.0), ("go", 10.0))["only"] == 0


def test_macro_is_over_families():
    rows = [{"in_0_5s": 1.0}, {"in_0_5s": 1.0}, {"in_0_5s": 1.0}, {"every_0_5s": 0.0}]
    metric = on_time.metrics(["in", "every", "then"])["macro_0_5s"]
    assert metric.figure("macro_0_5s", rows) == 0.5
