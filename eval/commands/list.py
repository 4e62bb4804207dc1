"""Name the tasks and agents, and what words, speech and ratings can come from."""

from __future__ import annotations

import argparse
import importlib

from rich.console import Console
from rich.table import Table

from eval import modules, task

KINDS = ("agents", "words", "vad", "judges")


def add(parser: argparse.ArgumentParser) -> None:
    pass


def main(args: argparse.Namespace) -> int:
    console, table = Console(), Table("task", "truth", "headline", "about", box=None)
    for name in task.names():
        found = task.load(name)
        truth = "by construction" if found.synthetic else "public data"
        table.add_row(name, truth, next(iter(found.metrics)), found.about)
    console.print(table)
    for kind in KINDS:
        table = Table(kind, "", box=None)
        for name in modules.names(f"eval.{kind}"):
            module = importlib.import_module(f"eval.{kind}.{name}")
            table.add_row(name, (module.__doc__ or "").strip().splitlines()[0])
        console.print()
        console.print(table)
    return 0
