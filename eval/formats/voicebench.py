"""VoiceBench: an inference file a task, SUBSET.jsonl: each row as it came, without its
sound, with `response`. The official `evaluate.py --src_file` scores it; tasks with a
judge go through its `api_judge.py` first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eval import record as records
from eval.ears import Ears
from eval.record import Record
from eval.sample import Fault
from eval.spoken import response
from eval.task import Task
from eval.voicebench.base import VoiceBench


def subset(task: Task) -> str | None:
    """The file's name; None for tasks that have no place there."""
    return f"{task.folder}.jsonl" if isinstance(task, VoiceBench) else None


def line(record: Record, ears: Ears) -> dict[str, Any]:
    return record.truth["row"] | {"response": response(record, ears)}


def write(run: Path, name: str, place: str, ears: Ears, output: Path) -> list[Fault]:
    """A task's file in `output`. -> those that are not in it, and why."""
    faults, lines = [], []
    for stored in records.stored(run, name):
        found = records.load(stored)
        if isinstance(found, Fault):
            faults.append(found)
        else:
            lines.append(json.dumps(line(found, ears)) + "\n")
    output.mkdir(parents=True, exist_ok=True)
    (output / place).write_text("".join(lines))
    return faults
