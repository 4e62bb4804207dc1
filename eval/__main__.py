"""Evaluate full-duplex systems.

    python -m eval list
    python -m eval run --tasks=turn_synth,pause_synth --agent=checkpoint \\
        --agent_args=name=nano --limit=50 --output_path=runs/nano
    python -m eval score runs/nano
    python -m eval view runs/nano
    python -m eval export runs/nano --format=fdb --output=fdb
    python -m eval crosscheck runs/nano --official-repo=Full-Duplex-Bench
"""

from __future__ import annotations

import argparse
import importlib

from eval import modules
from interaction.errors import run_command


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m eval",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    every = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands = {}
    for name in modules.names("eval.commands"):
        module = commands[name] = importlib.import_module(f"eval.commands.{name}")
        about = (module.__doc__ or "").strip()
        module.add(every.add_parser(
            name, help=about.splitlines()[0], description=about,
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
        ))  # fmt: skip
    args = parser.parse_args()
    return commands[args.command].main(args)


if __name__ == "__main__":
    run_command(main)
