"""Put a system through tasks, store what it did, and score it.

    python -m eval run --tasks=turn_synth --agent=checkpoint --agent_args=name=nano \\
        --limit=50 --output_path=runs/nano
    python -m eval run --tasks=turn_synth --agent=live --clock=realtime \\
        --agent_args=url=http://127.0.0.1:8080/v1 --output_path=runs/live

A run that was broken off goes on where it stopped: give the same command again.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from eval import modules, run, task
from eval.agent import Agent
from eval.commands import score
from eval.sample import Fault, Sample
from interaction import report
from interaction.errors import InputError


def add(parser: argparse.ArgumentParser) -> None:
    arg = parser.add_argument
    arg("--tasks", required=True, help="names, with commas; or all_synth")
    names = ", ".join(modules.names("eval.agents"))
    arg("--agent", required=True, help=f"the system: {names}")
    arg("--agent_args", default="", help="name=value, with commas")
    arg("--output_path", required=True, type=Path, help="the run's directory")
    arg("--limit", type=int, help="samples a task, at most (synthetic: 50)")
    arg("--seed", type=int, default=0, help="of synthetic samples")
    arg("--clock", choices=("lockstep", "realtime"), default="lockstep")
    arg("--data", type=Path, help="a public benchmark's directory, in its own layout")
    arg("--columns", default="", help="fields of --data by other names: ours=theirs,...")
    arg("--tool_s", type=float, default=0.0,
        help="seconds until a public benchmark's tools answer")  # fmt: skip
    score.add_means(parser)


def named(names: str) -> dict[str, task.Task]:
    wanted = names.split(",")
    if wanted == ["all_synth"]:
        wanted = [name for name in task.names() if task.load(name).synthetic]
    return {name: task.load(name) for name in wanted}


def open_agent(name: str, given: str) -> Agent:
    module, _ = modules.named("eval.agents", "--agent", name)
    return module.open(pairs("--agent_args", given))


def pairs(option: str, given: str) -> dict[str, str]:
    """name=value,name=value"""
    found = {}
    for part in filter(None, given.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"{option}: {part!r} is not name=value")
        found[key] = value
    return found


SYNTHETIC = 50  # samples, where nothing is said


def asked(args: argparse.Namespace, found: task.Task) -> task.Asked:
    limit = args.limit
    if limit is None and found.synthetic:
        limit = SYNTHETIC
    columns = pairs("--columns", args.columns)
    return task.Asked(args.data, args.official_repo, limit, args.seed, columns, args.tool_s)


def _begin(place: Path, about: dict[str, Any]) -> None:
    """Notes what the run is; refuses to mix it with another."""
    file = place / "run.json"
    fixed = ("agent", "clock", "seed")
    if file.exists():
        before = json.loads(file.read_text())
        for key in fixed:
            if before[key] != about[key]:
                raise InputError(
                    f"{place}: holds a run with {key} {before[key]!r}, not {about[key]!r}; "
                    "choose another --output_path"
                )
        about = about | {"tasks": before["tasks"] | about["tasks"]}
    place.mkdir(parents=True, exist_ok=True)
    report.write_report(file, about)


def main(args: argparse.Namespace) -> int:
    if args.limit is not None and args.limit < 1:
        raise InputError("--limit starts at 1")
    if not args.tool_s >= 0:
        raise InputError("--tool_s starts at 0")
    tasks = named(args.tasks)
    means = score.means(args)  # before hours are spent on what cannot be scored
    agent = open_agent(args.agent, args.agent_args)
    if agent.paced and args.clock == "lockstep":
        raise InputError(f"--agent={args.agent} lives in real time; give --clock=realtime")
    samples: dict[str, list[Sample | Fault]] = {}
    for name, found in tasks.items():
        wish = asked(args, found)
        samples[name] = list(itertools.islice(found.samples(wish), wish.limit))
    about = report.header("interaction.eval/1", {"agent_args": args.agent_args}) | {
        "agent": agent.name, "clock": args.clock, "seed": args.seed,
        "data": str(args.data or ""),
        "tasks": {
            name: {"version": tasks[name].version, "limit": args.limit, "samples": len(s)}
            for name, s in samples.items()
        },
    }  # fmt: skip
    _begin(args.output_path, about)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}"
               "/{task.total}"), TimeRemainingColumn())  # fmt: skip
    with Progress(*columns) as bar:
        for name, every in samples.items():
            line = bar.add_task(name, total=len(every))
            run.run(
                agent, iter(every), args.output_path / name, args.clock,
                done=functools.partial(bar.advance, line),
            )  # fmt: skip
    score.write(args.output_path, list(tasks), means)
    return 0
