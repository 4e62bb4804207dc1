"""Real conversations for training: into shards, and a look at what is there.

    python -m interaction.data prepare --format=fisher --src=fisher --dst=data/fisher
    python -m interaction.data prepare --format=seamless --src=seamless \\
        --dst=data/seamless --video=40x80 --workers=8
    python -m interaction.data prepare --format=moshi --src=talks/data.jsonl \\
        --dst=data/talks --strict --limit=20
    python -m interaction.data check --src=data/fisher
    python -m interaction.train --config=configs/nano.py --workdir=runs/fisher \\
        --config.data.corpus=data/fisher

`prepare` goes over a corpus as it comes (--format says which) and writes both voices of
each conversation at 16 kHz, the words and when they sound, and with --video the camera's
pictures. Killed, even by kill -9, it goes on where it was when started again. What cannot
be used is left out, and named with the reason in DST/index.json; --strict stops at the
first.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from interaction.data.corpora import check, prepare
from interaction.data.corpora.record import Camera
from interaction.data.corpora.shards import INDEX, Line
from interaction.data.corpora.tidy import SILENT
from interaction.errors import InputError, run_command
from interaction.jsonfile import read_json

SHOWN = 5  # skipped conversations that are printed; the index has them all


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m interaction.data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser(
        "prepare", help="write a corpus as shards", allow_abbrev=False
    )
    make.add_argument("--format", required=True, choices=prepare.FORMATS)
    make.add_argument("--src", required=True, type=Path, help="the corpus as it comes")
    make.add_argument("--dst", required=True, type=Path, help="a new directory")
    make.add_argument(
        "--agent",
        default="corpus",
        choices=prepare.AGENTS,
        help="who is the agent: as the corpus says, which means both speakers in turn "
        "where two people talk (the default); both; or the first or second side",
    )
    make.add_argument(
        "--video", type=_size, metavar="HxW", help="keep pictures, this large"
    )
    make.add_argument(
        "--video_period", type=float, default=1.0, metavar="S", help="seconds between looks"
    )
    make.add_argument(
        "--workers", type=int, default=0, help="processes (default: this one)"
    )
    make.add_argument("--shard_mb", type=int, default=256, help="least size of a shard")
    make.add_argument("--limit", type=int, help="only the first conversations")
    make.add_argument("--strict", action="store_true", help="stop at the first bad one")
    look = commands.add_parser(
        "check", help="verify checksums and print a summary", allow_abbrev=False
    )
    look.add_argument("--src", required=True, type=Path, help="a prepared directory")
    return parser.parse_args()


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, such as 40x80")
    return int(height), int(width)


def _options(args: argparse.Namespace) -> prepare.Options:
    for name, low in (("workers", 0), ("shard_mb", 1), ("limit", 1)):
        value = getattr(args, name)
        if value is not None and value < low:
            raise InputError(f"--{name}={value}; use {low} or more")
    turns = args.video_period * 5
    if turns < 1 or turns != round(turns):
        raise InputError(f"--video_period={args.video_period}; use a multiple of 0.2 s")
    camera = None
    if args.video:
        height, width = args.video
        camera = Camera(height, width, args.video_period)
    return prepare.Options(
        args.format, args.src, args.agent, camera, args.shard_mb, args.limit
    )


def _prepare(args: argparse.Namespace, console: Console) -> Line:
    options = _options(args)
    if prepare.is_prepared(options, args.dst):
        console.print(f"{args.dst}: is prepared already")
        return read_json(args.dst / INDEX)
    command = shlex.join(["python", "-m", "interaction.data", *sys.argv[1:]])
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"), TimeElapsedColumn(), TimeRemainingColumn(),
        console=console,
    )  # fmt: skip
    with bar:
        task = bar.add_task(f"prepare {args.format}", total=None, said="")

        def tell(done: int, total: int, skipped: int, hours: float) -> None:
            said = f"{bar.tasks[task].speed or 0:.1f}/s  {hours:.1f} h  {skipped} skipped"
            bar.update(task, completed=done, total=total, said=said)

        return prepare.prepare(options, args.dst, command, args.workers, args.strict, tell)


def _check(args: argparse.Namespace, console: Console) -> Line:
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(),
        TimeRemainingColumn(), console=console,
    )  # fmt: skip
    with bar:
        task = bar.add_task("checksums", total=None)
        index = check.check(args.src, lambda nbytes: bar.advance(task, nbytes))
        bar.update(task, total=index["bytes"], completed=index["bytes"])
    return index


def _summary(directory: Path, index: Line) -> list[str]:
    speech = index["speech_s"]
    skipped = index["skipped"]
    lines = [
        f"{directory}: {index['conversations']:,} conversations of {index['format']}, "
        f"{index['hours']:.2f} h, in {index['shards']} shards, {index['bytes']:,} bytes",
        f"as training dialogues: {index['dialogues']:,}, {index['dialogue_hours']:.2f} h; "
        f"agent speaks {speech['agent']:.0f} s, user {speech['user']:.0f} s",
        *(f"{count:,} {what}" for what, count in index["mended"].items()),
    ]
    if SILENT in index["mended"]:
        lines.append("train with config.train.heard_weight = 0 where users have no words")
    if skipped:
        lines.append(f"{len(skipped):,} skipped, all named in {directory / INDEX}:")
        lines += [f"  {one['item']}: {one['reason']}" for one in skipped[:SHOWN]]
    return lines


def main() -> int:
    args = _arguments()
    console = Console(soft_wrap=True, highlight=False, markup=False)
    if args.command == "prepare":
        directory, index = args.dst, _prepare(args, console)
    else:
        directory, index = args.src, _check(args, console)
    for line in _summary(directory, index):
        console.print(line)
    return 0


if __name__ == "__main__":
    run_command(main)
