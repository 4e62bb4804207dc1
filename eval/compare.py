"""Where two scored runs differ: figures, samples, and what was said in one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eval import task
from eval.record import Record
from eval.results import Figure, Results, unlike
from eval.score import RESAMPLES
from eval.task import Metric, Row
from interaction.conversation import Event
from interaction.errors import InputError


class Difference(NamedTuple):
    """A figure of both. change: second less first over the samples that both measured, None
    without a value; ci95: its paired bootstrap interval; n: those samples."""

    task: str
    metric: str
    first: Figure
    second: Figure
    change: float | None
    ci95: tuple[float, float] | None
    n: int

    @property
    def apart(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.ci95 is not None and (self.ci95[0] > 0 or self.ci95[1] < 0)


class Change(NamedTuple):
    """A sample of both, by one metric; None where a run has no value."""

    id: str
    first: float | None
    second: float | None

    @property
    def size(self) -> float:
        """How far apart; a value against none is the farthest."""
        if self.first is None or self.second is None:
            return 0.0 if self.first is self.second else np.inf
        return abs(self.second - self.first)


def shared(first: Results, second: Results) -> list[str]:
    """Tasks of both. Raises InputError where there are none, or where the two heard
    different samples of one."""
    names = [name for name in first.figures if name in second.figures]
    if not names:
        raise InputError(f"{first.place} and {second.place} have no task in common")
    for name in names:
        if different := unlike((first, second), name):
            raise InputError(
                f"{first.place} and {second.place} did not hear the same in {name}, sample "
                f"{different[0]}; run both with one --seed and version"
            )
    return names


def figures(first: Results, second: Results) -> list[Difference]:
    """Every figure that both runs have."""
    return [
        _difference(name, metric, first, second)
        for name in shared(first, second)
        for metric in first.figures[name]
        if metric in second.figures[name]
    ]


def _difference(name: str, metric: str, first: Results, second: Results) -> Difference:
    of = task.load(name).metrics[metric]
    common = [i for i in first.rows[name] if i in second.rows[name]]
    rows = [(first.rows[name][i], second.rows[name][i]) for i in common]
    change = _change(of, metric, rows)
    interval = None
    if change is not None:
        picks = np.random.default_rng(0).integers(0, len(rows), (RESAMPLES, len(rows)))
        drawn = [_change(of, metric, [rows[i] for i in pick]) for pick in picks]
        low, high = np.percentile([d for d in drawn if d is not None], [2.5, 97.5])
        interval = float(low), float(high)
    both = first.figures[name][metric], second.figures[name][metric]
    return Difference(name, metric, *both, change, interval, len(rows))


def _change(of: Metric, metric: str, rows: Sequence[tuple[Row, Row]]) -> float | None:
    values = [of.figure(metric, [pair[side] for pair in rows]) for side in (0, 1)]
    return None if None in values else float(values[1]) - float(values[0])  # type: ignore


def samples(first: Results, second: Results, name: str, metric: str) -> list[Change]:
    """Samples that both measured, those that differ most first."""
    both = [i for i in first.rows[name] if i in second.rows[name]]
    changes = [
        Change(i, first.rows[name][i].get(metric), second.rows[name][i].get(metric))
        for i in both
    ]
    return sorted(changes, key=lambda change: (-change.size, change.id))


def events(record: Record) -> list[Event]:
    """What a session's timeline shows: both sides' words, cut-offs, and tools."""
    told = [Event(span.t1, "user", "word", f" {span.text}") for span in record.user]
    told += [Event(t, "agent", "text", text) for t, text in record.text]
    told += [Event(t, "control", "clear", "") for t in record.cleared]
    for t, name, arguments in record.calls:
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        told.append(Event(t, "background", "call", f"{name}({given})"))
    told += [Event(t, "background", "result", text) for t, _, text in record.results]
    return sorted(told, key=lambda event: event.t_s)
