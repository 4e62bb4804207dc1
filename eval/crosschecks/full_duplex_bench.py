"""Full-Duplex-Bench's own scripts over a run, number by number."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from eval import record as records
from eval.crosschecks import Checked, Line, official
from eval.ears import Ears, Unheard
from eval.formats import fdb
from eval.formulas.full_duplex_bench import shares, timing
from eval.judge import Judge
from eval.layouts import full_duplex_bench as layout
from eval.layouts.full_duplex_bench import CLEAN
from eval.record import Record
from eval.sample import Fault
from eval.task import Row, Task
from eval.tasks.fdb_v1_5_interruption import NAMES
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE

SCRIPTS = {
    layout.PAUSE_CANDOR.truth: ("eval_pause_handling", "take_turn_list"),
    layout.TURN_TAKING.truth: ("eval_smooth_turn_taking", "take_turn_list"),
    layout.INTERRUPTION.truth: ("eval_user_interruption", "take_turn_list"),
    layout.BACKCHANNEL.truth: ("eval_backchannel", "TOR_list"),
}
MEANS = {  # what their functions call a figure, where they keep it
    "turn_over_rate": ("average_take_turn", "tor_mean"),
    "latency": ("average_latency",),
    "frequency": ("freq_mean",),
    "jsd": ("jsd_mean",),
}
EVERYWHERE = (
    "samples that failed are not exported: theirs does not know of them, ours counts them",
    "an input of another rate was resampled by soxr when it was read, not by torchaudio",
)
ON_PURPOSE = {
    layout.PAUSE_CANDOR.truth: (
        "theirs counts any file that ends in output.json, as clean_output.json; ours one",
    ),
    layout.TURN_TAKING.truth: (
        "theirs divides by zero where nobody takes a turn; ours has no value",
    ),
    layout.INTERRUPTION.truth: (
        "theirs divides by zero where nobody takes a turn; ours has no value",
        "theirs asks again for a rating that it cannot read, and counts the turn twice; "
        "ours counts it as a failure of the judge",
        "ratings are the judge's: they are not compared",
    ),
    layout.BACKCHANNEL.truth: (
        "theirs gives a sample without output.json the TOR of the one before; ours has one",
    ),
    "metadata.json": (
        "theirs skips folders without a transcript in silence; ours counts them as failed",
        "theirs asks a judge for ever; ours gives up, and has no value",
    ),
}


def check(
    run: Path, name: str, task: Task, ears: Ears, judge: Judge, checkout: Path, python: str
) -> Checked:
    """Every number of a task, ours and theirs. Raises InputError where their code is not
    there."""
    place = fdb.subset(task)
    assert place is not None  # such tasks have one
    with TemporaryDirectory() as scratch:
        root = Path(scratch) / "exported"
        fdb.write(run, name, place, ears, root)
        folder = root / place.version / place.folder
        ours = _measured(run, name, task, ears, judge)
        program = _Official(Path(scratch), layout.scripts(checkout), python)
        notes = [*EVERYWHERE, *ON_PURPOSE[place.truth]]
        if place.version == "v1_5":
            lines = _overlap(program, folder, ours, ears, notes)
        else:
            lines = _first(program, place.truth, folder, ours, ears, task, notes)
        return Checked(lines, notes, program.vad)


def _measured(
    run: Path, name: str, task: Task, ears: Ears, judge: Judge
) -> dict[str, tuple[Record, Row]]:
    found = {}
    for stored in records.stored(run, name):
        record = records.load(stored)
        if isinstance(record, Fault) or record.id.endswith(CLEAN):
            continue
        try:
            found[record.id] = (record, task.measure(record, ears, judge))
        except Unheard:
            pass  # it has no figures of ours
    if not found:
        raise InputError(f"{run}: no sample of {name} can be measured")
    return dict(sorted(found.items()))


class _Official:
    """Their functions, each in a process of its own."""

    def __init__(self, scratch: Path, folder: Path, python: str) -> None:
        self._scratch, self._folder, self._python = scratch, folder, python
        self.vad = ""

    def __call__(
        self, module: str, function: str, arguments: Sequence[Any],
        segments: Mapping[str, Any] | None = None, client: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        if not (self._folder / f"{module}.py").is_file():
            raise InputError(f"{self._folder}: no {module}.py; give a whole checkout")
        request, answer = self._scratch / "request.json", self._scratch / "answer.json"
        request.write_text(json.dumps({
            "folder": str(self._folder.resolve()), "module": module, "function": function,
            "arguments": list(arguments), "client": client, "segments": segments or {},
            "answer": str(answer),
        }))  # fmt: skip
        done = subprocess.run(
            [self._python, official.__file__, str(request)], capture_output=True, text=True
        )
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["no word of why"])[-1]
            raise InputError(f"--python={self._python}: {module} did not run ({why})")
        told = json.loads(answer.read_text())
        self.vad = told["vad"] if segments else self.vad
        return told


def _heard(waves: Sequence[Any], ears: Ears) -> dict[str, list]:
    """Our detector's stretches in samples, by the wave's digest."""
    return {
        hashlib.sha256(wave.tobytes()).hexdigest(): [
            [round(a * SAMPLE_RATE), round(b * SAMPLE_RATE)] for a, b in ears.segments(wave)
        ]
        for wave in waves
    }


def _first(
    program: _Official, truth: str, folder: Path, ours: Mapping[str, tuple[Record, Row]],
    ears: Ears, task: Task, notes: list[str],
) -> list[Line]:  # fmt: skip
    """v1: TOR, and what goes with it."""
    module, _ = SCRIPTS[truth]
    listens = truth == layout.BACKCHANNEL.truth
    outputs = [layout.cut(record).output for record, _ in ours.values()]
    segments = _heard(outputs, ears) if listens else None
    told = program(module, module, [str(folder)], segments, truth == "interrupt.json")
    if told["error"] and not told["error"].startswith("ZeroDivisionError"):
        raise InputError(f"{module}.py ended on {told['error']}")
    rows = {id_: row for id_, (_, row) in ours.items() if not listens or id_.isdigit()}
    if len(rows) < len(ours):
        notes.append(f"{len(ours) - len(rows)} folders are no number: theirs skips them")
    theirs = _theirs(truth, told["locals"], list(rows))
    lines = [
        Line(id_, metric, rows[id_][metric], value)
        for id_, row in theirs.items()
        for metric, value in row.items()
    ]
    for metric in dict.fromkeys(line.metric for line in lines):
        means = [told["locals"][k] for k in MEANS[metric] if k in told["locals"]]
        mean = means[0] if means else _mean(theirs, metric)
        mine = task.metrics[metric].figure(metric, list(rows.values()))
        lines.append(Line("all", metric, mine, mean))
    return lines


def _theirs(
    truth: str, lists: Mapping[str, Any], names: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """What their function listed, by sample: it went through them in order of names, and
    has latencies only where a turn was taken."""
    turns = lists[SCRIPTS[truth][1]]
    rows: dict[str, dict[str, float | None]] = {
        id_: {"turn_over_rate": turn} for id_, turn in zip(names, turns, strict=True)
    }
    for metric, key in (("frequency", "freq_list"), ("jsd", "jsd_list")):
        if key in lists:
            for row, value in zip(rows.values(), lists[key], strict=True):
                row[metric] = value
    latencies = iter(lists.get("latency_list", ()))
    if "latency_list" in lists:
        for row in rows.values():
            row["latency"] = next(latencies) if row["turn_over_rate"] else None
    return rows


def _mean(rows: Mapping[str, Mapping[str, float | None]], metric: str) -> float | None:
    values = [v for row in rows.values() if (v := row[metric]) is not None]
    return sum(values) / len(values) if values else None


def _overlap(
    program: _Official, folder: Path, ours: Mapping[str, tuple[Record, Row]], ears: Ears,
    notes: list[str],
) -> list[Line]:  # fmt: skip
    """v1.5: the lists of where both speak and of answers; behaviours, where a judge saw
    them."""
    cut = {id_: layout.cut(record) for id_, (record, _) in ours.items()}
    waves = [wave for one in cut.values() for wave in (one.input, one.output)]
    told = program("get_timing", "main", ["--root_dir", str(folder)], _heard(waves, ears))
    if told["error"]:
        raise InputError(f"get_timing.py ended on {told['error']}")
    lines = []
    for id_, one in cut.items():
        lists = timing(ears.segments(one.input), ears.segments(one.output))
        theirs = json.loads((folder / id_ / "latency_intervals.json").read_text())
        for metric, mine, key in (
            ("stop", lists.stops, "latency_stop_list"),
            ("response", lists.responses, "latency_resp_list"),
        ):
            lines += _lists(id_, metric, [list(pair) for pair in mine], theirs[key])
    tags = [tag for _, row in ours.values() for tag, name in NAMES.items() if row.get(name)]
    if not tags:
        notes.append("behaviours are not compared: no judge saw them")
        return lines
    seen = [{"behaviour": [tag]} for tag in tags]
    told = program("eval_behavior", "stats_by_axis", [seen])
    ratios = told["result"][2]["C"]
    return lines + [Line("all", NAMES[t], v, ratios[t]) for t, v in shares(tags).items()]


def _lists(id_: str, metric: str, ours: list, theirs: list) -> list[Line]:
    lines = [Line(id_, f"{metric} stretches", len(ours), len(theirs))]
    for i, (a, b) in enumerate(zip(ours, theirs, strict=False)):
        lines += [Line(id_, f"{metric} {i} {end}", a[j], b[j])
                  for j, end in enumerate(("start", "end"))]  # fmt: skip
    return lines
