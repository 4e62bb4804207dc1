"""A scored run as it lies on disk, read back: figures, rows and failures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval import record
from eval.record import Record
from eval.sample import Fault
from eval.task import Row
from interaction.errors import InputError

Figure = Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """about: what the run says of itself; figures: task -> metric -> value with its
    provenance; rows and faults: task -> sample -> what was measured, or why it was not."""

    place: Path
    about: Mapping[str, Any]
    figures: Mapping[str, Mapping[str, Figure]]
    rows: Mapping[str, Mapping[str, Row]]
    faults: Mapping[str, Mapping[str, str]]

    @property
    def agent(self) -> str:
        return str(self.about["agent"])

    def ids(self, task: str) -> list[str]:
        """Samples that were measured or failed, in order."""
        return sorted({*self.rows.get(task, {}), *self.faults.get(task, {})})

    def record(self, task: str, sample: str) -> Record | None:
        """What was said; None where it is not stored, or cannot be read."""
        place = self.place / task / sample
        found = record.load(place) if place.is_dir() else None
        return None if isinstance(found, Fault) else found

    def digest(self, task: str, sample: str) -> str | None:
        """Of all that the system was given; None where that is not stored."""
        try:
            about = (self.place / task / sample / "sample.json").read_text("utf-8")
            return str(json.loads(about)["sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def read(place: Path) -> Results:
    """Raises InputError where there is no scored run."""
    try:
        about = json.loads((place / "results.json").read_text(encoding="utf-8"))
        figures, rows, faults = about.pop("results"), {}, {}
        for task in figures:
            lines = list(_lines(place / f"samples_{task}.jsonl"))
            faults[task] = {x["id"]: x["failed"] for x in lines if "failed" in x}
            rows[task] = {x.pop("id"): x for x in lines if "failed" not in x}
        return Results(place, about, figures, rows, faults)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{place}: no scored run ({error}); `python -m eval score {place}` makes one"
        ) from None


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


def unlike(runs: Sequence[Results], task: str) -> list[str]:
    """Samples of one name that were not the same for all runs that have them."""
    every = sorted({sample for run in runs for sample in run.ids(task)})
    heard = {i: {run.digest(task, i) for run in runs} - {None} for i in every}
    return [i for i, digests in heard.items() if len(digests) > 1]


def labels(runs: Sequence[Results]) -> list[str]:
    """A name for each: its agent's, with its directory where that is not enough."""
    names = [run.agent for run in runs]
    same = {name for name in names if names.count(name) > 1}
    return [
        f"{name} ({run.place.name})" if name in same else name
        for name, run in zip(names, runs, strict=True)
    ]
