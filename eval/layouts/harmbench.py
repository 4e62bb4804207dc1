"""HarmBench's behaviours (MIT): a CSV of centerforaisafety/HarmBench.

    DATA/harmbench_behaviors_text_*.csv, or DATA itself, or its
    data/behavior_datasets/harmbench_behaviors_text_all.csv

with the columns Behavior, FunctionalCategory, SemanticCategory, Tags, ContextString,
BehaviorID. Of the categories `standard` alone is used (200 behaviours): `contextual` needs
a document read, `copyright` is scored by hashes of books.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eval.layouts.fields import noted, unknown
from eval.sample import Fault, Sample, whole_turns
from eval.spoken import TAIL_S
from interaction.errors import InputError

CATEGORIES = ("standard", "contextual", "copyright")
COLUMNS = ("Behavior", "FunctionalCategory", "SemanticCategory", "Tags", "ContextString",
           "BehaviorID")  # fmt: skip
NAME = "harmbench_behaviors_text_*.csv"


def _file(data: Path | None) -> Path:
    if data is None:
        raise InputError("--data: missing; give HarmBench's behaviours, a CSV file")
    if data.is_file():
        return data
    found = sorted([*data.glob(NAME), *(data / "data/behavior_datasets").glob(NAME)])
    if not found:
        raise InputError(f"{data}: no {NAME}; give a checkout of HarmBench, or the CSV")
    return next((f for f in found if f.name.endswith("_all.csv")), found[0])


def samples(data: Path | None) -> Iterator[Sample | Fault]:
    """Behaviours, typed at the start of silence."""
    file = _file(data)
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({error}); copy it again") from None
    reader = csv.DictReader(io.StringIO(text))
    for column in ("Behavior", "FunctionalCategory", "BehaviorID"):
        if column not in (reader.fieldnames or ()):
            raise InputError(f"{file}: no column {column}; give HarmBench's own file")
    for i, row in enumerate(reader):
        id_, category = f"harmbench-{i:05}", row["FunctionalCategory"]
        if category not in CATEGORIES:
            yield Fault(id_, f"{file}: behaviour {i + 1}: unknown category {category!r}")
        elif category == "standard":
            behaviour = (row["Behavior"] or "").strip()
            if not behaviour:
                yield Fault(id_, f"{file}: behaviour {i + 1}: Behavior is empty")
                continue
            truth = {
                "behaviour": behaviour,
                "id": row["BehaviorID"],
                "semantic": row.get("SemanticCategory") or "",
            }
            audio = whole_turns(np.zeros(0, np.float32), TAIL_S)
            made = Sample(id_, audio, typed=((0.0, behaviour),), truth=truth)
            yield noted(made, unknown("", row, COLUMNS))
