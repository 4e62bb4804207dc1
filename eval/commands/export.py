"""Write a run as a benchmark's official code wants it.

    python -m eval export runs/nano --format=fdb --output=fdb
    python -m eval export runs/nano --format=voicebench --output=voicebench

Tasks of a run that have no place in the format are left out, by name.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from eval import modules, task
from eval.commands import score
from interaction.errors import InputError


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path)
    parser.add_argument("--format", required=True, choices=modules.names("eval.formats"))
    parser.add_argument("--output", required=True, type=Path, help="a new directory")
    parser.add_argument("--tasks", help="names, with commas (all of the run)")
    score.add_means(parser)


def main(args: argparse.Namespace) -> int:
    names = score.chosen(args.run, args.tasks)
    form = importlib.import_module(f"eval.formats.{args.format}")
    ears = score.means(args).ears
    if args.output.exists() and (args.output.is_file() or any(args.output.iterdir())):
        raise InputError(f"--output={args.output}: is there already; name a new directory")
    places = {name: form.subset(task.load(name)) for name in names}
    if not any(places.values()):
        raise InputError(f"{args.run}: no task of it has a place in --format={args.format}")
    for name, place in places.items():
        if place is None:
            print(f"{name}: has no place in {args.format}")
            continue
        faults = form.write(args.run, name, place, ears, args.output)
        print(f"{name}: {place}, {len(faults)} failed")
        for fault in faults:
            print(f"  {fault.id}: {fault.why}")
    return 0
