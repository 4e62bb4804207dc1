"""Score a stored run, again where it was scored before.

python -m eval score runs/nano --words=forced_align --judge=openai:gpt-4o-mini
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from eval import modules, score, task
from eval.ears import Ears, ears
from eval.judge import Judge, judge
from interaction import report
from interaction.errors import InputError


class Means(NamedTuple):
    ears: Ears
    judge: Judge


def add_means(parser: argparse.ArgumentParser) -> None:
    arg = parser.add_argument
    arg("--words", default="text_stream", help=f"whence words come: {_there('words')}")
    arg("--vad", default="silero", help=f"what finds speech: {_there('vad')}")
    arg("--judge", default="none", help=f"what rates answers: {_there('judges')}")
    arg("--official-repo", type=Path, help="your checkout of its code, for its prompts")


def _there(kind: str) -> str:
    return f"{', '.join(modules.names(f'eval.{kind}'))}; `python -m eval list` tells more"


def means(args: argparse.Namespace) -> Means:
    return Means(ears(args.words, args.vad), judge(args.judge, args.official_repo))


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path)
    parser.add_argument("--tasks", help="names, with commas (all of the run)")
    add_means(parser)


def read(place: Path) -> dict[str, Any]:
    """What a run says of itself. Raises InputError where there is none."""
    try:
        return json.loads((place / "run.json").read_text())
    except (OSError, ValueError):
        raise InputError(
            f"{place}: no run.json; name the --output_path of `python -m eval run`"
        ) from None


def write(place: Path, names: Sequence[str], using: Means) -> None:
    """results.json (figures) and samples_TASK.jsonl (rows) in the run's directory."""
    about = read(place)
    of = {key: about[key] for key in ("agent", "clock", "seed")}
    of["git"] = (about["git"] or {}).get("commit")
    file = place / "results.json"
    results = json.loads(file.read_text())["results"] if file.exists() else {}
    for name in names:
        found = task.load(name)
        total = about["tasks"][name]["samples"]
        done = score.score(place, name, found, *using, of, total)
        results[name] = done.figures
        lines = [{"id": i} | dict(row) for i, row in done.rows.items()]
        lines += [{"id": i, "failed": why} for i, why in done.faults.items()]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        temporary = place / f".tmp-samples_{name}.jsonl"
        temporary.write_text(text)
        temporary.replace(place / f"samples_{name}.jsonl")
    report.write_report(file, about | {"schema": "interaction.eval/1", "results": results})
    show({name: results[name] for name in names})


def show(results: dict[str, Any]) -> None:
    """A table a task."""
    console = Console()
    for name, figures in results.items():
        table = Table(name, "value", "95%", "n", "failed", "skipped", box=None)
        for metric, f in figures.items():
            value = "none" if f["value"] is None else f"{f['value']:.3f} {f['unit']}"
            ci = "" if f["ci95"] is None else "{:.3f} to {:.3f}".format(*f["ci95"])
            star = "" if f["official"] else " *"
            table.add_row(metric + star, value, ci, str(f["n"]), str(f["n_failed"]),
                          str(f["n_skipped"]))  # fmt: skip
        console.print(table)
        unknown = next(iter(figures.values())).get("unknown_fields", {})
        for field, n in unknown.items():
            console.print(f"unknown field, in {n} samples: {field}", markup=False)
        console.print()
    console.print("* not a published definition on its own data, words and judge")


def chosen(run: Path, tasks: str | None) -> list[str]:
    """Names of tasks that a run has: those asked for, or all."""
    about = read(run)
    names = tasks.split(",") if tasks else list(about["tasks"])
    for name in names:
        if name not in about["tasks"]:
            raise InputError(f"--tasks: {run} has no {name!r}; it has "
                             f"{', '.join(about['tasks'])}")  # fmt: skip
    return names


def main(args: argparse.Namespace) -> int:
    write(args.run, chosen(args.run, args.tasks), means(args))
    return 0
