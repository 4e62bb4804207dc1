"""Many people who talk with a server at once, in real time.

    python -m interaction.serve.load --url=ws://127.0.0.1:8080 --speakers=16 --seconds=60 \
        --report=load.json --plot=load.png

Everybody says a dialogue of the synthetic world, over and over, one micro-turn every
200 ms, in the middle between two of the server's ticks. Told at the end: how long a reply
took from the end of the sound that it answers, how even replies came, what sound came too
late to be heard, and what the server says of its ticks. With --delay-ms, --loss, --reorder
and --duplicate the way there is a bad network; the clock then runs as far behind as delays
need (--behind), and replies come that much later.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
import urllib.request
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from prometheus_client.parser import text_string_to_metric_families
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from interaction import report
from interaction.data import world
from interaction.errors import InputError, run_command
from interaction.modality.audio import TURN_SAMPLES
from interaction.serve.__main__ import KEY
from interaction.serve.client import Client, Refused
from interaction.serve.network import Network

TURN_S = 0.2
PHASE_S = 0.03  # after a reply: the next tick is near when ticks are long
DROPPED = "interaction_input_dropped_total"  # turns, by the server
WHY = ("late", "early", "again")


@dataclass
class Speaker:
    """What one person met. reply_ms: from sending a turn to its reply; gap_ms: between
    replies; compute_ms: of every tick, as the server says."""

    replies: int = 0
    lost: int = 0  # turns, and those that came twice, by the network's doing
    doubled: int = 0
    unheard_ms: float = 0.0
    refused: str | None = None
    reply_ms: list[float] = field(default_factory=list)
    gap_ms: list[float] = field(default_factory=list)
    compute_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Setting:
    """Where and how everybody speaks. behind: turns that the clock is."""

    url: str
    key: str | None
    turns: int
    network: Network
    behind: int


async def speak(at: Setting, person: int, told: Speaker) -> None:
    """One conversation."""
    length = min(at.turns, 150)
    said = world.dialogue(0, person, "held_out_voices", turns=length).user
    waves = said.reshape(-1, TURN_SAMPLES)
    way = at.network.way(person)
    under_way: set[asyncio.Task[None]] = set()
    try:
        async with Client(at.url, at.key, seed=person, delay=at.behind) as talk:
            sent: dict[int, float] = {}
            last = None
            async for reply in talk:
                now, number = time.perf_counter(), reply.message.turn
                if number in sent:
                    told.reply_ms.append(1e3 * (now - sent.pop(number)))
                if last is not None:
                    told.gap_ms.append(1e3 * (now - last))
                last = now
                told.replies += 1
                told.compute_ms.append(reply.message.compute_ms)
                told.unheard_ms += reply.message.missing_ms
                if told.replies >= at.turns:
                    return
                await asyncio.sleep(PHASE_S)
                sent[talk.turn + at.behind] = time.perf_counter()
                wave = waves[talk.turn % len(waves)]
                for ms in way.next():
                    sending = asyncio.create_task(_send(talk, wave, talk.turn, ms))
                    under_way.add(sending)
                    sending.add_done_callback(under_way.discard)
                talk.turn += 1
                told.lost, told.doubled = way.lost, way.doubled
            told.refused = talk.why
    except Refused as refused:
        told.refused = str(refused)
    finally:
        for sending in under_way:
            sending.cancel()


async def _send(talk: Client, wave: np.ndarray, turn: int, ms: float) -> None:
    await asyncio.sleep(ms / 1e3)
    await talk.hear(wave, turn=turn)


def metrics(url: str) -> dict[str, float]:
    """The server's own figures, by name."""
    address = url.replace("ws", "http", 1).rstrip("/") + "/metrics"
    try:
        text = urllib.request.urlopen(address, timeout=10).read().decode()
    except OSError as error:
        raise InputError(f"{address}: {error}; start the server first") from None
    families = text_string_to_metric_families(text)
    return {
        sample.name + "".join(f".{v}" for v in sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


async def everybody(speakers: int, at: Setting) -> list[Speaker]:
    told = [Speaker() for _ in range(speakers)]
    talks = [
        asyncio.create_task(speak(at, person, told[person])) for person in range(speakers)
    ]
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns) as bar:
        task = bar.add_task(f"{speakers} speakers", total=at.turns * speakers)
        while not all(talk.done() for talk in talks):
            bar.update(task, completed=sum(each.replies for each in told))
            await asyncio.sleep(0.5)
    await asyncio.gather(*talks)
    return told


def by_tenth(values: list[float]) -> list[float]:
    """Medians of the ten tenths, in order: even where nothing grows."""
    tenth = len(values) // 10
    parts = [values[n * tenth : (n + 1) * tenth] for n in range(10 if tenth else 0)]
    return [round(float(np.median(part)), 2) for part in parts]


def tail_over_head(values: list[float]) -> float | None:
    """Median of the last tenth over that of the first: 1 where nothing grows."""
    medians = by_tenth(values)
    return round(medians[-1] / medians[0], 3) if medians else None


def p99_at_most(grown: dict[str, float]) -> float | None:
    """Milliseconds that 99% of ticks, computed and sent, kept to: an edge of the server's
    histogram. None where its last is not enough."""
    name = "interaction_tick_seconds"
    edges = {
        float(key.removeprefix(f"{name}_bucket.")): n
        for key, n in grown.items()
        if key.startswith(f"{name}_bucket.") and not key.endswith("Inf")
    }
    enough = [edge for edge, n in edges.items() if n >= 0.99 * grown[f"{name}_count"]]
    return round(1e3 * min(enough), 1) if enough else None


def figures(told: list[Speaker], before: dict[str, float], after: dict[str, float]) -> dict:
    """Of the clients, and of the server between two readings of its metrics."""
    grown = {name: after[name] - before.get(name, 0.0) for name in after}
    ticks = grown["interaction_tick_seconds_count"]
    every = lambda name: [x for each in told for x in getattr(each, name)]  # noqa: E731
    longest = max(told, key=lambda each: each.replies)
    return {
        "speakers": len(told),
        "held": sum(each.refused is None for each in told),
        "refused": sorted({each.refused for each in told if each.refused}),
        "replies": sum(each.replies for each in told),
        "reply_ms": report.percentiles(every("reply_ms")),
        "gap_ms": report.percentiles(every("gap_ms")),
        "unheard_s": round(sum(each.unheard_ms for each in told) / 1e3, 3),
        "lost": sum(each.lost for each in told),
        "doubled": sum(each.doubled for each in told),
        "dropped": {why: grown.get(f"{DROPPED}.{why}", 0.0) for why in WHY},
        "server": {
            "ticks": ticks,
            "tick_mean_ms": round(1e3 * grown["interaction_tick_seconds_sum"] / ticks, 2)
            if ticks
            else None,
            "tick_p99_at_most_ms": p99_at_most(grown),
            "compute_ms": report.percentiles(longest.compute_ms),
            "compute_p50_by_tenth_ms": by_tenth(longest.compute_ms),
            "compute_tail_over_head": tail_over_head(longest.compute_ms),
            "deadline_misses": grown["interaction_deadline_misses_total"],
            "compiled": grown["interaction_compiled"],
            "turns_skipped": grown["interaction_turns_skipped"],
        },
    }


def plot(told: list[Speaker], path: Path) -> None:
    """How long replies took and how even they came, as distributions."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for axis, name, label in zip(
        axes,
        ("reply_ms", "gap_ms"),
        ("reply after sending", "between replies"),
        strict=True,
    ):
        values = np.sort([x for each in told for x in getattr(each, name)])
        axis.plot(values, np.linspace(0, 100, len(values)))
        axis.set(xlabel=f"{label} (ms)", ylabel="% of turns", ylim=(0, 100))
        axis.grid(alpha=0.3)
    figure.suptitle(f"{len(told)} speakers")
    figure.savefig(path)
    plt.close(figure)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m interaction.serve.load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--url", default="ws://127.0.0.1:8080")
    add("--speakers", type=int, default=4)
    add("--seconds", type=float, default=30.0)
    add("--delay-ms", type=float, default=0.0, help="of a turn on its way, at most")
    add("--loss", type=float, default=0.0, metavar="SHARE", help="of turns that never come")
    add("--reorder", type=float, default=0.0, metavar="SHARE",
        help="of turns that overtake those that are delayed")  # fmt: skip
    add("--duplicate", type=float, default=0.0, metavar="SHARE",
        help="of turns that come twice")  # fmt: skip
    add("--seed", type=int, default=0, help="of the network")
    add("--behind", type=int, metavar="TURNS",
        help="that the clock waits for late turns (what --delay-ms needs)")  # fmt: skip
    add("--report", type=Path, help="figures: json")
    add("--plot", type=Path, help="a picture: png, svg or pdf")
    return parser.parse_args()


def main() -> int:
    args = _arguments()
    if args.speakers < 1 or args.seconds < 1:
        raise InputError("--speakers and --seconds start at 1")
    network = Network(
        args.delay_ms, args.loss, args.reorder, args.duplicate, args.seed
    ).check()
    needs = network.turns(1e3 * PHASE_S)
    behind = needs if args.behind is None else args.behind
    if not 0 <= behind <= 10:
        raise InputError(f"--behind={behind}; 0 to 10 turns")
    turns = round(args.seconds / TURN_S)
    at = Setting(args.url, os.environ.get(KEY), turns, network, behind)
    before = metrics(args.url)
    told = asyncio.run(everybody(args.speakers, at))
    found = figures(told, before, metrics(args.url))
    if args.plot and found["replies"]:
        plot(told, args.plot)
    if args.report:
        asked = {"url": args.url, "network": asdict(network), "behind": behind}
        head = report.header("interaction.load/1", asked)
        report.write_report(args.report, head | {"seconds": args.seconds} | found)
    server = found["server"]
    print(
        f"{found['held']} of {found['speakers']} conversations held; reply p50 "
        f"{found['reply_ms']['p50']} ms, p99 {found['reply_ms']['p99']} ms; unheard "
        f"{found['unheard_s']} s; {server['deadline_misses']:.0f} of {server['ticks']:.0f} "
        f"ticks late, mean {server['tick_mean_ms']} ms, p99 at most "
        f"{server['tick_p99_at_most_ms']} ms, last over first "
        f"{server['compute_tail_over_head']}"
    )
    for why in found["refused"]:
        print(f"refused or ended: {why}")
    return int(found["held"] < found["speakers"])


if __name__ == "__main__":
    run_command(main)
