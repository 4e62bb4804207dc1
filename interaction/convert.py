"""Weights of the Inkling family to this stack and back.

    python -m interaction.convert import --src=Inkling-Small --dst=models/inkling_small
    python -m interaction.convert export --src=models/inkling_small --dst=Inkling-Small-2

`import` reads a downloaded checkpoint (safetensors with config.json, under the released
names or those that Hugging Face transformers saves) and adds, freshly initialised, what
an interaction model has beyond it. `export` writes the same files again. Both stream:
neither holds more than a small part of the weights in memory. Run again after an
interruption, they go on where they stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from interaction import settings
from interaction.config import ModelConfig
from interaction.errors import InputError, run_command
from interaction.interop import transfer

OURS = (
    "horizon", "frame_height", "frame_width", "frame_period", "flow_width", "flow_layers",
    "flow_steps", "flow_temperature", "flow_guidance",
)  # fmt: skip
"""Config fields that Inkling leaves open."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m interaction.convert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("import", "an Inkling checkpoint directory to a model of this stack"),
        ("export", "an imported model back to an Inkling checkpoint directory"),
    ):
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.add_argument("--src", required=True, type=Path)
        command.add_argument("--dst", required=True, type=Path, help="must not exist yet")
        if name == "import":
            command.add_argument(
                "--config",
                type=Path,
                help="take the flow head, horizon and camera from this config (default: "
                "those of interaction/config.py)",
            )
            command.add_argument(
                "--seed", type=int, default=0, help="of the parts that start fresh"
            )
    return parser.parse_args()


def _ours(config: Path | None) -> dict:
    if config is None:
        return {}
    model = ModelConfig.from_mapping(settings.load(config).model.to_dict())
    return {name: getattr(model, name) for name in OURS}


def _names(names: list[str]) -> str:
    """Names in one line each group that differs by layer only."""
    heads = [".".join(n.split(".")[:2]) if "." in n else n for n in names]
    counts = {head: heads.count(head) for head in dict.fromkeys(heads)}
    return ", ".join(h if c == 1 else f"{h} ({c} tensors)" for h, c in counts.items())


def _print(report: transfer.Report, console: Console, dst: Path) -> None:
    console.print(f"{dst}: {len(report.used)} tensors, {report.moved_bytes:,} bytes")
    reasons: dict[str, list[str]] = {}
    for name, why in report.ignored.items():
        reasons.setdefault(why, []).append(name)
    for why, names in reasons.items():
        console.print(f"ignored ({why}): {_names(names)}")
    if report.fresh:
        console.print(f"fresh, to be trained: {_names(report.fresh)}")


def main() -> int:
    args = _arguments()
    if not args.src.is_dir():
        raise InputError(f"no directory {args.src}; name a checkpoint's")
    size = transfer.total_bytes(args.src)
    console = Console(soft_wrap=True, highlight=False)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(),
        TransferSpeedColumn(), TimeRemainingColumn(), console=console,
    )  # fmt: skip
    with bar:
        task = bar.add_task(f"{args.command} {args.src.name}", total=size)
        tell = lambda name, nbytes: bar.advance(task, nbytes)  # noqa: E731
        if args.command == "import":
            ours = _ours(args.config)
            report = transfer.import_checkpoint(args.src, args.dst, ours, args.seed, tell)
        else:
            report = transfer.export_checkpoint(args.src, args.dst, tell)
        bar.update(task, total=report.moved_bytes, completed=report.moved_bytes)
    _print(report, console, args.dst)
    return 0


def _main() -> int:
    try:
        return main()
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    run_command(_main)
