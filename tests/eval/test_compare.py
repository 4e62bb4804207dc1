"""Where two runs differ: by hand-made rows whose differences are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eval import compare
from eval.record import Record
from eval.results import Results
from eval.sample import Call, Span
from interaction.errors import InputError

FIGURE = {"value": 0.5, "unit": "", "higher_is_better": True}


def run(rows: dict[str, dict], name: str = "turn_synth", place: str = "run") -> Results:
    return Results(
        Path(place), {"agent": place}, {name: {"right": FIGURE}}, {name: rows}, {}
    )


def right(*values: float | None) -> dict[str, dict]:
    return {f"s{i}": {"right": value} for i, value in enumerate(values)}


def test_change_is_paired_over_samples_of_both():
    first, second = run(right(0, 0, 1, 1)), run(right(1, 1, 1))
    (found,) = compare.figures(first, second)
    assert (found.n, found.change) == (3, pytest.approx(2 / 3))
    assert found.ci95[0] >= 0 and found.ci95[1] == 1


def test_what_is_hard_for_both_drops_out():
    """Half of 40 samples are hard: unpaired intervals overlap, the paired one is sharp."""
    hard = [i % 2 for i in range(40)]
    better = [max(v, i % 4 == 0) for i, v in enumerate(hard)]
    (found,) = compare.figures(run(right(*hard)), run(right(*better)))
    assert found.change == 0.25 and found.apart and found.ci95[0] > 0.1
    (same,) = compare.figures(run(right(*hard)), run(right(*hard)))
    assert same.change == 0 and not same.apart


def test_no_value_is_no_change():
    (found,) = compare.figures(run(right(None, None)), run(right(1, 1)))
    assert found.change is None and found.ci95 is None and not found.apart


def test_samples_that_differ_most_come_first():
    found = compare.samples(
        run(right(0, 1, None, None)), run(right(0, 0, 1, None)), "turn_synth", "right"
    )
    assert [c.id for c in found] == ["s2", "s1", "s0", "s3"]
    assert [c.size for c in found] == [np.inf, 1, 0, 0]


def test_runs_without_a_common_task_are_refused():
    with pytest.raises(InputError, match="no task in common"):
        compare.figures(run(right(1)), run(right(1), name="pause_synth"))


def test_runs_that_heard_different_samples_are_refused(tmp_path):
    both = []
    for name in ("a", "b"):
        place = tmp_path / name / "turn_synth" / "s0"
        place.mkdir(parents=True)
        (place / "sample.json").write_text(f'{{"sha256": "{name}"}}')
        both.append(run(right(1), place=str(tmp_path / name)))
    with pytest.raises(InputError, match="did not hear the same in turn_synth, sample s0"):
        compare.figures(*both)


def test_events_of_a_record_are_in_order():
    silence = np.zeros(3200, np.float32)
    told = compare.events(Record(
        "s0", silence, silence, (Span("what is two", 0.0, 0.9),), {}, "",
        ((1.2, " two"),), (Call(0.8, "add", {"a": 1}),), ((1.0, "add", "2"),), (1.4,),
        (), (), "", Path(),
    ))  # fmt: skip
    assert [(e.t_s, e.lane, e.text) for e in told] == [
        (0.8, "background", "add(a=1)"), (0.9, "user", " what is two"),
        (1.0, "background", "2"), (1.2, "agent", " two"), (1.4, "control", ""),
    ]  # fmt: skip
