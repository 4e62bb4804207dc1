"""Show scored runs side by side: tables, timelines, sound, failures, on one page.

    python -m eval view runs/nano runs/silent --output=report.html

The page is one file and asks no network for anything. It plays the runs' own files where
it can reach them; with --audio=3 it holds the sound of three samples a task.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from eval import results
from eval.view import page
from interaction.errors import InputError


def add(parser: argparse.ArgumentParser) -> None:
    arg = parser.add_argument
    arg("runs", nargs="+", type=Path, metavar="RUN")
    arg("--output", type=Path, default=Path("report.html"))
    arg(
        "--audio",
        type=int,
        default=0,
        metavar="N",
        help="samples a task whose sound the page holds, the first run's worst",
    )
    arg(
        "--samples",
        type=int,
        metavar="N",
        help="samples a task that it shows, the first run's worst (all); the page then "
        "goes anywhere, without the runs' files",
    )


def main(args: argparse.Namespace) -> int:
    if args.audio < 0:
        raise InputError("--audio starts at 0")
    runs = [results.read(place) for place in args.runs]
    folder = args.output.parent
    if not folder.is_dir():
        raise InputError(f"--output={args.output}: no directory {folder}; make it first")
    if args.samples is not None and args.samples < 1:
        raise InputError("--samples starts at 1")
    beside = folder if args.samples is None else None
    text = page.render(runs, beside, args.audio, args.samples)
    temporary = folder / f".tmp-{os.getpid()}-{args.output.name}"
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(args.output)
    except OSError as error:
        raise InputError(f"--output={args.output}: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.2f} MB")
    return 0
