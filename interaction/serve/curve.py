"""What a tick costs, by how many conversations there are and how old they are.

    python -m interaction.serve.curve --checkpoint=nano --sessions 1 2 4 8 16 32 \
        --minutes 1 5 15 60 --report=curve.json --plot=curve.png

One conversation is lived as fast as it goes, and kept at each age; every engine then goes
on with as many forks of it as it has slots, which hear dialogues of their own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from interaction import report
from interaction.data import world
from interaction.errors import InputError, run_command
from interaction.modality.audio import TURN_SAMPLES
from interaction.package import Package, open_package
from interaction.serve.engine import Engine
from interaction.snapshot import Snapshot

MINUTE = 300  # turns
SAID = 150  # turns of a dialogue, which is said over and over
WARM_UP = 5  # ticks


def dialogues(n: int) -> np.ndarray:
    """What each of n people says over and over. -> float32 [n, SAID, 3200]."""
    said = [world.dialogue(0, i, "held_out_voices", turns=SAID).user for i in range(n)]
    return np.stack(said).reshape(n, SAID, TURN_SAMPLES)


def live(package: Package, said: np.ndarray, minutes: Sequence[int]) -> list[Snapshot]:
    """A conversation at each of these ages."""
    engine, kept = Engine(package, 1), []
    seat = engine.admit()
    with Progress(transient=True) as bar:
        task = bar.add_task("growing old", total=max(minutes) * MINUTE)
        for age in sorted(minutes):
            while seat.talk.turn < age * MINUTE:
                wave = said[0, seat.talk.turn % SAID]
                engine.tick({seat: seat.talk.check(wave)})
                bar.advance(task)
            kept.append(engine.snapshot(seat))
    return kept


def ticks(engine: Engine, old: Snapshot, said: np.ndarray, n: int) -> list[float]:
    """Milliseconds of n ticks with a fork of a conversation in every slot."""
    seats = [engine.resume(old) for _ in range(engine.slots)]
    took = []
    for turn in range(WARM_UP + n):
        began = time.perf_counter()
        engine.tick({
            seat: seat.talk.check(said[person % len(said), turn % SAID])
            for person, seat in enumerate(seats)
        })  # fmt: skip
        took.append(1e3 * (time.perf_counter() - began))
    for seat in seats:
        engine.leave(seat)
    return took[WARM_UP:]


def measure(
    package: Package, sessions: Sequence[int], minutes: Sequence[int], n: int, rounds: int
) -> list[dict[str, Any]]:
    """Ages by turns, so that a busy machine bends all alike. -> one row a point."""
    said = dialogues(max(sessions))
    kept, rows = live(package, said, minutes), []
    with Progress() as bar:
        task = bar.add_task("measuring", total=len(sessions) * rounds * len(kept))
        for many in sorted(sessions):
            engine = Engine(package, many)
            found: list[list[float]] = [[] for _ in kept]
            for _ in range(rounds):
                for took, old in zip(found, kept, strict=True):
                    took += ticks(engine, old, said, n)
                    bar.advance(task)
            for age, took in zip(sorted(minutes), found, strict=True):
                row = {"sessions": many, "minutes": age}
                rows.append(row | {"tick_ms": report.percentiles(took)})
    return rows


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Ticks by age, a line for every number of conversations."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    for many in sorted({row["sessions"] for row in rows}):
        mine = [row for row in rows if row["sessions"] == many]
        at = [row["minutes"] for row in mine]
        middle = [row["tick_ms"]["p50"] for row in mine]
        (line,) = axis.plot(at, middle, ".-", label=f"{many} conversations")
        high = [row["tick_ms"]["p99"] for row in mine]
        axis.fill_between(at, middle, high, color=line.get_color(), alpha=0.15)
    axis.axhline(200, color="black", linestyle=":", linewidth=1)
    axis.set(xscale="log", xlabel="age (minutes)", ylabel="tick, p50 to p99 (ms)")
    axis.set(yscale="log", xticks=at, xticklabels=at)
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    figure.legend(loc="outside right center")
    figure.savefig(path)
    plt.close(figure)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m interaction.serve.curve",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--checkpoint", required=True)
    add("--sessions", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    add("--minutes", type=int, nargs="+", default=[1, 5, 15, 60])
    add("--ticks", type=int, default=50, help="of a point, each time")
    add("--rounds", type=int, default=5, help="times that each age has its turn")
    add("--report", type=Path, help="figures: json")
    add("--plot", type=Path, help="a picture: png, svg or pdf")
    return parser.parse_args()


def main() -> int:
    args = _arguments()
    if min(*args.sessions, *args.minutes, args.ticks, args.rounds) < 1:
        raise InputError("--sessions, --minutes, --ticks and --rounds start at 1")
    package = open_package(args.checkpoint)
    rows = measure(package, args.sessions, args.minutes, args.ticks, args.rounds)
    if args.plot:
        plot(rows, args.plot)
    if args.report:
        asked = {"checkpoint": args.checkpoint, "ticks": args.ticks * args.rounds}
        head = report.header("interaction.curve/1", asked)
        report.write_report(args.report, head | {"points": rows})
    for row in rows:
        ms = row["tick_ms"]
        print(
            f"{row['sessions']:3} conversations of {row['minutes']:3} min: "
            f"p50 {ms['p50']:6.1f} ms, p99 {ms['p99']:6.1f} ms"
        )
    return 0


if __name__ == "__main__":
    run_command(main)
