"""Run a benchmark's official code over a run, and compare every number with ours.

    python -m eval crosscheck runs/fdb --official-repo=Full-Duplex-Bench --python=PYTHON

The checkout is yours; its code runs in processes of their own, over a copy of the run, with
stand-ins for what needs a GPU or a network. PYTHON: one that has torch and silero-vad (and
scipy); without them their code hears what our detector found. Exit code 1 where a number
differs by more than 1e-6.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from eval import task
from eval.commands import score
from eval.crosschecks import Checked
from interaction import report
from interaction.errors import InputError

SHOWN = 10  # of the numbers that differ


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path)
    parser.add_argument("--tasks", help="names, with commas (all that can be compared)")
    parser.add_argument("--python", default=sys.executable, help="for the official code")
    parser.add_argument("--report", type=Path, help="JSON to write")
    score.add_means(parser)


def main(args: argparse.Namespace) -> int:
    if args.official_repo is None:
        raise InputError("--official-repo: name your checkout of the official code")
    means = score.means(args)
    checked: dict[str, Checked] = {}
    for name in score.chosen(args.run, args.tasks):
        found = task.load(name)
        by = getattr(found, "crosscheck", None)
        if by is None:
            print(f"{name}: no official code is known for it")
            continue
        module = importlib.import_module(f"eval.crosschecks.{by}")
        checked[name] = module.check(
            args.run, name, found, *means, args.official_repo, args.python
        )
    if not any(one.lines for one in checked.values()):
        raise InputError(f"{args.run}: nothing in it can be compared")
    show(checked)
    if args.report:
        about = {"run": args.run, "official_repo": args.official_repo, "words": args.words,
                 "vad": args.vad, "judge": args.judge}  # fmt: skip
        header = report.header("interaction.crosscheck/1", about)
        report.write_report(args.report, header | {"tasks": told(checked)})
    return int(any(not line.agrees for one in checked.values() for line in one.lines))


def show(checked: Mapping[str, Checked]) -> None:
    console = Console()
    table = Table("task", "metric", "numbers", "differ", "furthest", "VAD", box=None)
    table.columns[0].overflow = "fold"
    notes: dict[str, list[str]] = {}
    for name, one in checked.items():
        for metric, lines in _by_metric(one).items():
            table.add_row(
                name, metric, str(len(lines)), str(sum(not x.agrees for x in lines)),
                f"{max(x.off for x in lines):.1e}", one.vad or "none",
            )  # fmt: skip
        for note in one.notes:
            notes.setdefault(note, []).append(name)
    console.print(table)
    print("\nnot compared, or different on purpose:")
    for note, names in notes.items():
        print(f"- {note} ({', '.join(names)})")
    for name, one in checked.items():
        for line in [line for line in one.lines if not line.agrees][:SHOWN]:
            print(f"{name} {line.id} {line.metric}: ours {line.ours}, theirs {line.theirs}")


def _by_metric(one: Checked) -> dict[str, list]:
    found: dict[str, list] = {}
    for line in one.lines:
        found.setdefault(line.metric.split(" ")[0], []).append(line)
    return found


def told(checked: Mapping[str, Checked]) -> dict:
    """What the report says, by task."""
    return {
        name: {
            "vad": one.vad,
            "notes": list(one.notes),
            "numbers": [line._asdict() | {"agrees": line.agrees} for line in one.lines],
        }
        for name, one in checked.items()
    }
