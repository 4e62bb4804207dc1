"""Figures of a stored run, each with what it rests on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from eval import record
from eval.ears import Ears, Unheard
from eval.judge import Judge
from eval.record import Record
from eval.sample import Fault
from eval.task import Metric, Row, Task

RESAMPLES = 1_000


@dataclass(frozen=True)
class Scored:
    """rows: of the samples that could be measured, by id; faults: why the others could
    not; figures: metric -> value and provenance."""

    rows: Mapping[str, Row]
    faults: Mapping[str, str]
    figures: Mapping[str, Mapping[str, Any]]


def interval(metric: Metric, name: str, rows: Sequence[Row]) -> list[float] | None:
    """95% percentile bootstrap over samples. None without a value."""
    if not rows or metric.figure(name, rows) is None:
        return None
    rng = np.random.default_rng(0)
    drawn = []
    for picks in rng.integers(0, len(rows), (RESAMPLES, len(rows))):
        value = metric.figure(name, [rows[i] for i in picks])
        if value is not None:
            drawn.append(value)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return [round(float(low), 6), round(float(high), 6)]


def dataset(records: Sequence[Record]) -> str:
    """SHA-256 over samples and their digests, in order of names."""
    lines = sorted(f"{r.id} {r.digest}" for r in records)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def official(metric: Metric, task: Task, ears: Ears, judge: Judge) -> bool:
    """Whether a figure may stand beside published ones: their definition, their data, and
    words, speech and ratings from what they used."""
    words = not metric.hears or ears.words_from.startswith("asr:nvidia/parakeet")
    speech = not metric.detects or ears.vad == "silero"
    rated = not metric.judge or metric.judge in judge.name
    return metric.official and not task.synthetic and words and speech and rated


def detected(metric: Metric, ears: Ears) -> bool:
    """Whether a figure hangs on the detector: by itself, or by the times of words."""
    return metric.detects or (metric.hears and ears.own)


def why(metric: Metric, judge: Judge, rows: Sequence[Row]) -> str:
    """What may be the reason that a figure has no value."""
    if not rows:
        return "no sample could be measured"
    if metric.judge and judge.name == "none":
        return "it takes a judge: --judge"
    if metric.judge and judge.official is None:
        return "no reply of the judge's, or its prompts are in a checkout: --official-repo"
    return "no sample has a value"


def _having(column: str, rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.get(column) is not None]


def score(
    run: Path, name: str, task: Task, ears: Ears, judge: Judge,
    about: Mapping[str, Any], expected: int,
) -> Scored:  # fmt: skip
    """about: what the run says of itself (agent, clock, seed, git); expected: samples that
    the task has, of which those not run count as skipped."""
    rows: dict[str, Row] = {}
    faults: dict[str, str] = {}
    records = []
    places = list(record.stored(run, name))
    for place in track(places, f"scoring {name}", transient=True):
        found = record.load(place)
        if isinstance(found, Fault):
            faults[found.id] = found.why
        else:
            records.append(found)
            try:
                rows[found.id] = task.measure(found, ears, judge)
            except Unheard as error:
                faults[found.id] = str(error)
    shared = dict(about) | {
        "n_failed": len(faults),
        "n_skipped": max(expected - len(rows) - len(faults), 0),
        "words": ears.words_from,
        "judge": judge.name,
        "judge_failures": judge.failures,
        "dataset_sha256": dataset(records),
        "version": task.version,
    }
    if unknown := Counter(name for one in records for name in one.unknown):
        shared["unknown_fields"] = dict(sorted(unknown.items()))
    every = list(rows.values())
    figures = {}
    for metric_name, metric in task.metrics.items():
        value = metric.figure(metric_name, every)
        figures[metric_name] = {
            "value": None if value is None else round(float(value), 6),
            "ci95": interval(metric, metric_name, every),
            "n": len(every) if metric.of else len(_having(metric_name, every)),
            "unit": metric.unit,
            "higher_is_better": metric.up,
            "official": official(metric, task, ears, judge),
            "vad": ears.vad if detected(metric, ears) else None,
        } | shared  # fmt: skip
        if value is None:
            figures[metric_name]["why"] = why(metric, judge, every)
    return Scored(rows, faults, figures)
