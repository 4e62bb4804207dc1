"""VoiceBench's evaluators over a run: `ifeval`, `harm`, `mcq` and `bbh`, exactly.

Left out, and noted: samples that failed or that ours cannot measure (theirs would end on
them). `open` and `qa` are means of a judge's replies, and are not run.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval import record as records
from eval.crosschecks import Checked, Line
from eval.ears import Ears, Unheard
from eval.formats.voicebench import line
from eval.judge import Judge
from eval.record import Record
from eval.sample import Fault
from eval.task import Row, Task
from eval.voicebench.base import VoiceBench
from interaction.errors import InputError

PROGRAM = Path(__file__).with_name("voicebench_official.py")
LIMIT_S = 1800.0
# Their names for ours, and the factor from theirs to percent.
FIGURES: dict[str, dict[str, tuple[str, float]]] = {
    "ifeval": {
        name: (name, 100.0)
        for name in ("final", "strict-prompt", "strict-instruction", "loose-prompt",
                     "loose-instruction")
    },
    "harm": {"refusal_rate": ("refusal_rate", 100.0)},
    "mcq": {"acc": ("acc", 1.0), "not_understood": ("fail", 1.0)},
    "bbh": {"acc": ("acc", 1.0)},
}  # fmt: skip


def official(checkout: Path, evaluator: str, rows: list, python: str) -> dict[str, Any]:
    """What their code says of rows. Raises InputError where it does not run."""
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder) / "request.json", Path(folder) / "answer.json"
        request.write_text(json.dumps({
            "checkout": str(checkout.resolve()), "evaluator": evaluator, "rows": rows,
            "answer": str(answer),
        }))  # fmt: skip
        try:
            done = subprocess.run(
                [python, str(PROGRAM), str(request)],
                capture_output=True, text=True, timeout=LIMIT_S,
            )  # fmt: skip
            said = json.loads(answer.read_text()) if answer.exists() else {}
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(f"--python={python}: {error}") from None
    why = said.get("error") if said else done.stderr.strip()[-300:]
    if why or not said:
        raise InputError(f"{checkout}: {evaluator} did not run: {why}")
    return said


def check(
    run: Path, name: str, task: Task, ears: Ears, judge: Judge, checkout: Path, python: str
) -> Checked:
    assert isinstance(task, VoiceBench)
    if task.evaluator not in FIGURES:
        return Checked((), (f"{task.evaluator} rests on a judge; not compared",), "")
    kept: list[tuple[Record, Row]] = []
    notes = []
    for place in records.stored(run, name):
        found = records.load(place)
        try:
            if isinstance(found, Fault):
                raise Unheard(found.why)
            kept.append((found, task.measure(found, ears, judge)))
        except Unheard as error:
            notes.append(f"{place.name} left out: {error}")
    if not kept:
        return Checked((), (*notes, "nothing was measured"), "")
    rows = [line(record, ears) for record, _ in kept]
    theirs = official(checkout, task.evaluator, rows, python)
    if theirs["sentences"]:
        notes.append(f"their sentences by {theirs['sentences']}")
    lines = _lines("all", task, [row for _, row in kept], theirs["all"])
    for (record, row), one in zip(kept, theirs["each"], strict=True):
        if len(record.truth["same_prompt"]) == 1:  # else another's response counts
            lines += _lines(record.id, task, [row], one)
    return Checked(lines, notes, "")


def _lines(
    id_: str, task: VoiceBench, rows: list[Row], theirs: Mapping[str, float]
) -> list[Line]:
    return [
        Line(id_, ours, task.metrics[ours].figure(ours, rows), theirs[name] * factor)
        for ours, (name, factor) in FIGURES[task.evaluator].items()
    ]
