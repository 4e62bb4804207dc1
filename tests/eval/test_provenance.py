"""What a figure says that it rests on is what moves it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import eval
from eval import task
from eval.commands.run import open_agent
from eval.ears import Ears
from eval.judge import judge
from eval.record import Record
from eval.run import run
from eval.sample import Call, Span
from eval.score import score

SECONDS = 10.0
SILENCE = np.zeros(round(SECONDS * 16_000), np.float32)
WORDS = [Span("one", 3.1, 3.4), Span("two", 3.5, 3.9), Span("three", 5.5, 5.8)]
DETECTED = (
    [], [(0.5, 9.0)], [(3.0, 4.0), (5.5, 6.0)], [(2.0, 3.2), (6.0, 9.5)],
    [(3.4, 5.2), (5.9, 6.1), (7.0, 7.4)], [(4.8, 5.5), (8.7, 9.5)], [(0.5, 2.5)],
)  # fmt: skip
PEOPLE = [0.1, 0.2, 0.3, 0.4]
OVERLAP = {"scene": "interruption", "over": [3.0, 5.0], "answer": "red", "counting": "one"}
TRUTHS: dict[str, Sequence[dict]] = {
    "pause_synth": [{"end": 5.0, "answer": "three"}],
    "interruption_synth": [{"interruption": [3.0, 5.0], "answer": a} for a in ("x", None)],
    "overlap_synth": [OVERLAP],
    "fdb_pause_candor": [{"pauses": [[2.0, 3.0]], "seconds": SECONDS}],
    "fdb_pause_synthetic": [{"pauses": [[2.0, 3.0]], "seconds": SECONDS}],
    "fdb_backchannel": [{"people": PEOPLE, "seconds": SECONDS}],
    "fdb_interruption": [{"start": 3.0, "end": 5.0, "seconds": SECONDS}],
    "fdb_v1_5_interruption": [{"start": 3.0, "end": 5.0, "seconds": SECONDS}],
    "fdb_v2": [{"split": "Daily", "seconds": SECONDS}],
    "fdb_v3": [{"expected": [["a", {}]], "answer": ""}],
    "fd_bench": [{"rounds": 3, "user": [[1.0, 2.0], [3.0, 5.0], [8.0, 9.0]]}],
}
AS = {"fdb_v1_5_interruption": ("fdb_v1_5_backchannel", "fdb_v1_5_background",
                                "fdb_v1_5_talking_to_other")}  # fmt: skip
TRUTHS |= {other: TRUTHS[one] for one, others in AS.items() for other in others}


def stored(truth: dict, place: Path) -> Record:
    return Record(
        id="1", input=SILENCE, output=SILENCE, user=(), truth=truth, instructions="",
        text=tuple((w.t0, f" {w.text}") for w in WORDS), calls=(Call(6.0, "a", {}),),
        results=(), cleared=(), compute_ms=(), behind_ms=(), digest="", path=place / "1",
    )  # fmt: skip


def hearing(segments: Sequence[tuple[float, float]]) -> Ears:
    """Words do not hang on the detector here."""
    return Ears("by hand", "by hand", lambda *_: WORDS, lambda wave: list(segments))


@pytest.mark.parametrize("name", TRUTHS)
def test_a_figure_that_hangs_on_the_detector_says_so(name, tmp_path):
    found, moved = task.load(name), set()
    for truth in TRUTHS[name]:
        record = stored(truth, tmp_path)
        rows = [found.measure(record, hearing(d), judge()) for d in DETECTED]
        for metric, about in found.metrics.items():
            if len({about.figure(metric, [row]) for row in rows}) > 1:
                moved.add(metric)
    assert moved == {m for m, about in found.metrics.items() if about.detects}


HELPERS = {"on_time.py": {"timespeak_synth", "cuespeak_synth"}}


def asking(call: str) -> set[str]:
    """Tasks whose code has this call, or that of what they are built from."""
    root = Path(eval.__file__).parent
    found: set[str] = set()
    inside: set[Path] = set()
    for name in task.names():
        kinds = type(task.load(name)).__mro__
        files = {inspect.getfile(k) for k in kinds if k.__module__.startswith("eval.")}
        if mine := {Path(file) for file in files if call in Path(file).read_text()}:
            found.add(name)
            inside |= mine
    rest = {f for f in root.rglob("*.py") if call in f.read_text()} - inside
    rest -= {root / "crosschecks" / "full_duplex_bench.py"}
    assert {file.name for file in rest} <= set(HELPERS), "who is it for?"
    return found.union(*(HELPERS[file.name] for file in rest))


def flagged(field: str) -> set[str]:
    loaded = {name: task.load(name).metrics.values() for name in task.names()}
    return {n for n, every in loaded.items() if any(getattr(m, field) for m in every)}


def test_no_other_task_asks_the_detector():
    assert flagged("detects") == asking("ears.segments(") == set(TRUTHS)


def test_whoever_asks_a_judge_says_so():
    assert flagged("judge") == asking("judge.ask(")


def scored(name: str, words: str, place: Path) -> dict:
    """Figures of a silent system in one sample."""
    sample = next(task.load("turn_synth").samples(task.Asked()))
    truth = TRUTHS[name][0]
    run(
        open_agent("silent", ""),
        iter([replace(sample, truth=truth)]),
        place / name,
        "lockstep",
    )
    about = {"agent": "silent", "clock": "lockstep", "seed": 0, "git": None}
    using = replace(hearing([]), words_from=words)
    return dict(score(place, name, task.load(name), using, judge(), about, 1).figures)


def test_a_figure_names_the_detector_where_it_hangs_on_one(tmp_path):
    for words, through_words in (("text_stream", "by hand"), ("asr:any", None)):
        figures = scored("pause_synth", words, tmp_path / words)
        assert figures["waited"]["vad"] == "by hand"
        assert figures["right"]["vad"] == through_words
    assert scored("fdb_v3", "text_stream", tmp_path)["passed"]["vad"] is None


def test_a_figure_without_a_value_says_why(tmp_path):
    figures = scored("fdb_interruption", "text_stream", tmp_path)
    assert figures["rating"]["why"] == "it takes a judge: --judge"
    assert "why" not in figures["turn_over_rate"]
    figures = scored("overlap_synth", "text_stream", tmp_path)
    assert figures["stop_latency"]["why"] == "no sample has a value"
