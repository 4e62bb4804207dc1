"""What the page's tables show: every figure with what it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval import task
from eval.results import Figure, Results, unlike
from eval.task import Task
from interaction.errors import InputError

PROVENANCE = {
    "why": "no value because",
    "words": "words from",
    "vad": "speech found by",
    "judge": "judge",
    "judge_failures": "judge's unreadable replies",
    "clock": "clock",
    "seed": "seed",
    "version": "task version",
    "dataset_sha256": "SHA-256 of the samples",
    "unknown_fields": "unknown fields of the data",
    "git": "commit",
}
DIRECTION = {True: "more is better", False: "less is better", None: ""}


@dataclass(frozen=True)
class Cell:
    """One run's figure. value, interval: as text; counts: how many samples; rests: what
    it rests on, name -> text."""

    value: str
    interval: str
    counts: str
    official: bool
    rests: Mapping[str, str]


@dataclass(frozen=True)
class Line:
    """A metric: a cell a run, None where a run has no such figure, then the published
    figures' texts."""

    metric: str
    about: str
    cells: Sequence[Cell | None]
    published: Sequence[str]


@dataclass(frozen=True)
class Sheet:
    """A task. systems: whose figures are published, and source: where; unlike: samples
    that were not the same for all runs; failed: (run, reason, samples)."""

    task: str
    about: str
    synthetic: bool
    lines: Sequence[Line]
    systems: Sequence[str]
    source: str
    unlike: Sequence[str]
    failed: Sequence[tuple[str, str, Sequence[str]]]


def number(value: float | None, unit: str = "") -> str:
    """Three decimals at most; a missing value is said to be none."""
    if value is None:
        return "none"
    text = f"{value:.3f}".rstrip("0").rstrip(".") if abs(value) < 1000 else f"{value:.0f}"
    return f"{'0' if text in ('', '-0') else text} {unit}".strip()


def cell(figure: Figure) -> Cell:
    low_high = figure["ci95"]
    counts = [f"n {figure['n']}"]
    counts += [f"{figure[f'n_{w}']} {w}" for w in ("failed", "skipped") if figure[f"n_{w}"]]
    rests = {
        name: _rests(key, figure[key])
        for key, name in PROVENANCE.items()
        if figure.get(key) is not None
    }
    return Cell(
        number(figure["value"], figure["unit"]),
        "" if low_high is None else " to ".join(number(v) for v in low_high),
        ", ".join(counts), bool(figure["official"]), rests,
    )  # fmt: skip


def _rests(key: str, on: Any) -> str:
    if key == "unknown_fields":
        return ", ".join(f"{field} in {n} samples" for field, n in on.items())
    return str(on)[:12] if key in ("git", "dataset_sha256") else str(on)


def known(name: str) -> Task | None:
    """A task by name; None for one that this version no longer has."""
    try:
        return task.load(name)
    except InputError:
        return None


def sheet(name: str, runs: Sequence[Results], labels: Sequence[str]) -> Sheet:
    found = known(name)
    metrics: dict[str, Any] = {}  # in the order of the task, or of the runs
    for run in runs:
        metrics |= run.figures.get(name, {})
    published = found.published if found else {}
    lines = []
    for metric, any_ in metrics.items():
        about = found.metrics[metric].about if found and metric in found.metrics else ""
        parts = (about, any_["unit"], DIRECTION[any_["higher_is_better"]])
        figures = [run.figures.get(name, {}).get(metric) for run in runs]
        lines.append(Line(
            metric, "; ".join(filter(None, parts)),
            [cell(f) if f else None for f in figures],
            [number(p[metric], any_["unit"]) if metric in p else ""
             for p in published.values()],
        ))  # fmt: skip
    return Sheet(
        name, found.about if found else "", bool(found and found.synthetic), lines,
        list(published), found.source if found and published else "", unlike(runs, name),
        list(failures(name, runs, labels)),
    )  # fmt: skip


def failures(name: str, runs: Sequence[Results], labels: Sequence[str]):
    """(run, reason, samples), those of most samples first."""
    for run, label in zip(runs, labels, strict=True):
        reasons: dict[str, list[str]] = {}
        for sample, why in sorted(run.faults.get(name, {}).items()):
            reasons.setdefault(why, []).append(sample)
        for why, samples in sorted(reasons.items(), key=lambda pair: -len(pair[1])):
            yield label, why, samples
