"""The face of a benchmark: samples, what is measured of each, and figures over all.

A task is a module of `eval.tasks` with a `TASK`; its name is the module's.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from eval import modules
from eval.ears import Ears
from eval.judge import Judge
from eval.record import Record
from eval.sample import Fault, Sample
from interaction.errors import InputError

Row = Mapping[str, float | None]
"""What was measured of one sample. None: nothing to measure, as a latency where nothing
was said, or a rating without a judge."""


def mean(column: str) -> Callable[[Sequence[Row]], float | None]:
    """Over the samples that have the value."""

    def over(rows: Sequence[Row]) -> float | None:
        values = [v for row in rows if (v := row.get(column)) is not None]
        return sum(values) / len(values) if values else None

    return over


def mean_of(columns: Sequence[str]) -> Callable[[Sequence[Row]], float | None]:
    """The mean of columns' means, for families that count alike however many samples each
    has: a column is one family's, None in other rows."""

    def over(rows: Sequence[Row]) -> float | None:
        values = [v for c in columns if (v := mean(c)(rows)) is not None]
        return sum(values) / len(values) if values else None

    return over


ANY = "any"


@dataclass(frozen=True)
class Metric:
    """A figure over samples. of: rows -> figure (None: mean of the rows' own value);
    up: whether more is better, None for neither; official: the published definition, as
    against a sibling or a definition of ours; hears: it depends on the system's words
    and their times; detects: it depends on where a detector finds speech; judge: it is
    rated, by this model where figures are published (ANY where none is ours to compare);
    unit: "", "s", "/s", "%"."""

    up: bool | None
    official: bool = False
    hears: bool = False
    detects: bool = False
    judge: str = ""
    unit: str = ""
    of: Callable[[Sequence[Row]], float | None] | None = None
    about: str = ""

    def figure(self, name: str, rows: Sequence[Row]) -> float | None:
        return (self.of or mean(name))(rows)


@dataclass(frozen=True)
class Asked:
    """What the command line says about samples. data: directory of a public benchmark,
    in its own layout; official: the evaluator's checkout of its code; limit: at most so
    many samples; seed: of synthetic ones; columns: a field's name here -> its name in the
    data, where the two differ; tool_s: from a call until a benchmark's tool answers."""

    data: Path | None = None
    official: Path | None = None
    limit: int | None = None
    seed: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)
    tool_s: float = 0.0


class Task(Protocol):
    """about: a line for `list`; version: changes whenever figures may; synthetic: truth
    by construction; metrics: name -> Metric, headline first; published: system ->
    {metric: value}, with where from in `source`. A task that a benchmark's official code
    knows also has `crosscheck`, a module of `eval.crosschecks`, and what a module of
    `eval.formats` needs to find its place."""

    about: str
    version: int
    synthetic: bool
    metrics: Mapping[str, Metric]
    published: Mapping[str, Mapping[str, float]]
    source: str

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        """In an order that does not depend on `limit`. Raises InputError where there is
        nothing to read at all."""

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        """Of one stored run. Raises `ears.Unheard` where the record cannot be measured:
        the sample is then counted as failed."""

    def known(self, agent: str, sample: Sample) -> Row | None:
        """What `measure` must give for a calibration agent, from the truth alone; None
        where that is not known."""


@dataclass(frozen=True)
class Published:
    """Fields that a task without published figures need not write."""

    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    source: str = ""


def names() -> list[str]:
    return modules.names("eval.tasks")


def load(name: str) -> Task:
    """Raises InputError for an unknown name."""
    if name not in names():
        raise InputError(f"--tasks: no task {name!r}; `python -m eval list` names them")
    return importlib.import_module(f"eval.tasks.{name}").TASK
