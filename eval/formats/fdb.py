"""Full-Duplex-Bench: a folder a sample, output.wav at 16 kHz and output.json beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from eval import record as records
from eval.ears import Ears, Unheard
from eval.layouts import full_duplex_bench as layout
from eval.layouts.full_duplex_bench import CLEAN, Subset
from eval.record import Record
from eval.sample import Fault, Span
from eval.task import Task
from eval.tasks.fdb_interruption import behind
from interaction.modality.audio import SAMPLE_RATE


def subset(task: Task) -> Subset | None:
    """Where a task's samples belong; None for tasks that have no place there."""
    return getattr(task, "subset", None)


def write(run: Path, name: str, place: Subset, ears: Ears, output: Path) -> list[Fault]:
    """A task's samples under `output`. -> those that are not there, and why."""
    faults: list[Fault] = []
    for record in _records(run, name, faults):
        try:
            cropped = place == layout.INTERRUPTION
            said = behind(record, ears) if cropped else ears.words(layout.cut(record))
        except Unheard as error:
            faults.append(Fault(record.id, str(error)))
            continue
        plain = record.id.removesuffix(CLEAN)
        folder = output / place.version / place.folder / plain
        folder.mkdir(parents=True, exist_ok=True)
        _write(record, said, place, folder)
    return faults


def _records(run: Path, name: str, faults: list[Fault]) -> Iterator[Record]:
    for stored in records.stored(run, name):
        found = records.load(stored)
        if isinstance(found, Fault):
            faults.append(found)
        else:
            yield found


def _write(record: Record, said: list[Span], place: Subset, folder: Path) -> None:
    whole = layout.cut(record)
    first = "clean_" if record.id.endswith(CLEAN) else ""
    for side, wave in (("input", whole.input), ("output", whole.output)):
        soundfile.write(folder / f"{first}{side}.wav", pcm(wave), SAMPLE_RATE)
    _json(folder / f"{first}output.json", layout.transcript(said))
    if place.version == "v1_5":
        _json(folder / f"{first}input.json", layout.transcript(record.user))
    if place.truth and not first:
        _json(folder / place.truth, happens(record, place))


def happens(record: Record, place: Subset) -> Any:
    """What the file of a sample's truth says."""
    truth = record.truth
    if place.truth == "pause.json":
        return [{"text": "[PAUSE]", "timestamp": pair} for pair in truth["pauses"]]
    if place.truth == "turn_taking.json":
        end = truth["end"]
        return [{"text": "[TURN-TAKING]", "timestamp": [end, end]}]
    times = [truth["start"], truth["end"]]
    if place.truth == "interrupt.json":
        both = {name: truth[name] for name in ("context", "interrupt")}
        return [both | {"timestamp": times}]
    context, event = record.user
    return {"context_text": context.text, "current_turn_text": event.text,
            "timestamps": times}  # fmt: skip


def pcm(wave: np.ndarray) -> np.ndarray:
    """int16: the very samples of a record's file."""
    return np.clip(np.round(wave * 32768), -32768, 32767).astype(np.int16)


def _json(file: Path, what: Any) -> None:
    file.write_text(json.dumps(what, indent=1))
