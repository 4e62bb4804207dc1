"""One conversation for a day of stream time, run as fast as it goes: does it age?

    python -m eval.soak --checkpoint=nano --hours=24 --workdir=runs/soak

The same dialogues every hour, one after the other and never begun anew. Told of each hour:
what its turns cost, the memory of the process, how many questions were answered rightly,
and in how many dialogues the words written are those of the first hour. At the end a new
conversation has dialogues by turns with the old one, since a day is long enough for the
machine to have become another. Every hour is kept in the directory, with the conversation
itself: the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from eval.behaviour import ANSWERED, Tally, Turn, score
from eval.dialogues import play
from interaction import report, snapshot
from interaction.conversation import Conversation, Output, row
from interaction.data import world
from interaction.data.dialogue import Dialogue
from interaction.directory import private
from interaction.errors import InputError, run_command
from interaction.jsonfile import read_json
from interaction.package import Package, open_package
from interaction.slots import Slots
from interaction.snapshot import Snapshot

TURNS = 72  # of a dialogue
HOUR = 250  # dialogues
BESIDE = 40  # dialogues by turns, the first half of which warms up
HOURS, SEAT, REPORT, PLOT = "hours.json", "conversation", "soak.json", "soak.png"


class Alone:
    """One conversation on a slot of its own, new or as it was kept, as `play` steps one. A
    `Session` would note all its events. ms: what each turn took."""

    def __init__(self, package: Package, seed: int, kept: Snapshot | None = None) -> None:
        self._device = Slots(package, 1)
        self._model, self._seed = snapshot.fingerprint(package), seed
        self._talk = Conversation(package.cfg, self._device.text)
        self.ms: list[float] = []
        if kept is None:
            self._device.begin(np.ones(1, bool), np.array([seed]))
        elif kept.model != self._model:
            raise InputError("the conversation is another model's; open its checkpoint")
        else:
            self._talk.restore(kept.talk)
            self._device.put(0, kept.row)

    @property
    def turn(self) -> int:
        return self._talk.turn

    def kept(self) -> Snapshot:
        """All of it, between two turns."""
        talk, state = self._talk.state(), self._device.take(0)
        return Snapshot(self._model, self._seed, 0.0, talk, state, turns=self.turn)

    def reset(self) -> None:
        """A soak never begins anew."""
        raise NotImplementedError

    def step(
        self, audio: list[np.ndarray], frames: list[np.ndarray | None]
    ) -> list[Output]:
        began = time.perf_counter()
        turn = self._talk.take(self._talk.check(audio[0], frames[0]))
        heard, frame = self._device.advance([turn], np.zeros(1, np.float32))
        ms = 1e3 * (time.perf_counter() - began)
        output = self._talk.give(row(heard, 0), row(frame, 0), turn, ms)
        self.ms.append(1e3 * (time.perf_counter() - began))
        return [output]


def words(turns: Sequence[Turn]) -> str:
    return "".join(turn.text for turn in turns).strip()


def live_hour(talk: Alone, said: list[Dialogue], hour: int) -> dict[str, Any]:
    """An hour of a conversation. `words`: what the agent wrote in each dialogue."""
    talk.ms.clear()
    tally, written = Tally(), []
    for dialogue in track(said, f"hour {hour + 1}"):
        ((turns, _),) = play(talk, [dialogue], fresh=False)
        score(dialogue, turns, tally)
        written.append(words(turns))
    asked = [ok for name in set(ANSWERED.values()) for ok in tally.rates.get(name, [])]
    return {
        "hour": hour + 1,
        "turns": talk.turn,
        "tick_ms": report.percentiles(talk.ms),
        "memory_mb": round(report.rss_bytes() / 2**20, 1),
        "right": sum(asked),
        "asked": len(asked),
        "words": written,
    }


def beside(old: Alone, new: Alone, said: list[Dialogue]) -> float:
    """Median ratio of what the same turns take in both, dialogue by dialogue."""
    said = said[:BESIDE]
    for n, dialogue in enumerate(said):
        if n in (0, len(said) // 2):
            old.ms, new.ms = [], []
        for talk in (new, old):
            play(talk, [dialogue], fresh=False)
    return round(float(np.median(np.array(old.ms) / np.array(new.ms))), 4)


def figures(hours: list[dict[str, Any]]) -> dict[str, Any]:
    """The last hour beside the first."""
    first, last = hours[0], hours[-1]
    both = list(zip(first["words"], last["words"], strict=True))
    return {
        "stream_hours": len(hours),
        "turns": last["turns"],
        "tick_p50_ratio": round(last["tick_ms"]["p50"] / first["tick_ms"]["p50"], 4),
        "memory_ratio": round(last["memory_mb"] / first["memory_mb"], 4),
        "right_first": [first["right"], first["asked"]],
        "right_last": [last["right"], last["asked"]],
        "same_words": [sum(a == b for a, b in both), len(both)],
        "probe": {"first_minute": both[0][0], "last_hour": both[0][1]},
        "hours": [{k: v for k, v in hour.items() if k != "words"} for hour in hours],
    }


def plot(hours: list[dict[str, Any]], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
    at = [hour["hour"] for hour in hours]
    for name in ("p50", "p99"):
        axes[0].plot(at, [hour["tick_ms"][name] for hour in hours], ".-", label=name)
    axes[0].legend()
    axes[1].plot(at, [hour["memory_mb"] for hour in hours], ".-")
    axes[2].plot(at, [100 * hour["right"] / hour["asked"] for hour in hours], ".-")
    labels = ("turn (ms)", "memory (MB)", "questions answered rightly (%)")
    for axis, label in zip(axes, labels, strict=True):
        top = 1.1 * axis.dataLim.y1
        axis.set(xlabel="stream time (h)", ylabel=label, ylim=(0, top))
        axis.grid(alpha=0.3)
    figure.savefig(path)
    plt.close(figure)


def _begin(
    args: argparse.Namespace, package: Package
) -> tuple[Alone, list[dict[str, Any]]]:
    """A new conversation, or the one that the directory holds."""
    done = args.workdir / HOURS
    hours = read_json(done)["hours"] if done.exists() else []
    if not hours:
        return Alone(package, args.seed), []
    # The conversation is written after its hour: an hour more than it knows is lived again.
    kept = snapshot.load(args.workdir / SEAT, package.cfg)
    hours = [hour for hour in hours if hour["turns"] <= kept.turns]
    return Alone(package, kept.seed, kept), hours


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m eval.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--checkpoint", required=True)
    add("--hours", type=int, default=24, help="of stream time, 18,000 turns each")
    add("--dialogues", type=int, default=HOUR, help=argparse.SUPPRESS)  # tests
    add("--workdir", type=Path, required=True, help="hours so far, report and picture")
    add("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> int:
    args = _arguments()
    if args.hours < 1 or args.dialogues < 1:
        raise InputError("--hours starts at 1")
    private(args.workdir)
    package = open_package(args.checkpoint)
    talk, hours = _begin(args, package)
    split = "held_out_voices"
    said = [
        world.dialogue(args.seed, i, split, turns=TURNS, echo=False)
        for i in track(range(args.dialogues), "speaking")
    ]
    while len(hours) < args.hours:
        hours.append(live_hour(talk, said, len(hours)))
        report.write_report(args.workdir / HOURS, {"hours": hours})
        snapshot.save(args.workdir / SEAT, talk.kept())
        print(json.dumps({k: v for k, v in hours[-1].items() if k != "words"}), flush=True)
    plot(hours, args.workdir / PLOT)
    ratio = beside(talk, Alone(package, args.seed), said)
    found = {"tick_old_over_new": ratio} | figures(hours)
    asked = {"checkpoint": args.checkpoint, "hours": args.hours, "seed": args.seed}
    report.write_report(
        args.workdir / REPORT, report.header("interaction.soak/1", asked) | found
    )
    print(
        f"{found['turns']} turns: a turn takes {found['tick_old_over_new']} of a new "
        f"conversation's; tick p50 {found['tick_p50_ratio']}, memory "
        f"{found['memory_ratio']} of the first hour's; right {found['right_first']} and "
        f"{found['right_last']}; the same words in {found['same_words']} dialogues"
    )
    return 0


if __name__ == "__main__":
    run_command(main)
