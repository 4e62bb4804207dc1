"""Free-running scores of a checkpoint on synthetic dialogues that it has not met.

    python -m eval.dialogues --checkpoint=nano --report=dialogues.json

Held-out voices (known words) and held-out combinations (known voices), 300 dialogues
each: answers by text, onset, interruptions, silence, and the words in the sound itself.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rich.progress import track

from eval.behaviour import TURN_S, Answer, Tally, Turn, score
from eval.intervals import bootstrap, wilson
from interaction import report
from interaction.data import world
from interaction.data.dialogue import Dialogue
from interaction.data.espeak import agent_speech
from interaction.data.scenes.words import AGENT_WORDS
from interaction.errors import InputError, run_command
from interaction.modality.audio import SAMPLE_RATE, TURN_SAMPLES, agent_mel
from interaction.modality.identify import WordTemplates
from interaction.session import Session
from interaction.staged import Staged

LOUD = -2.0  # log10 mel above which a frame sounds
ECHO_SAMPLES = 640  # 40 ms from loudspeaker to microphone
ECHO_GAIN = 10 ** (-30 / 20)
SPLITS = ("held_out_voices", "held_out_combinations")
EPILOG = """example:
  python -m eval.dialogues --checkpoint=nano --n=40 --splits=held_out_voices"""


class Steps(Protocol):
    """What conversations in lockstep have: a `Session` of several slots."""

    def reset(self) -> None: ...

    def step(self, audio: list[np.ndarray], frames: list[np.ndarray | None]) -> Any: ...


def play(
    session: Steps, dialogues: list[Dialogue], fresh: bool = True
) -> list[tuple[list[Turn], np.ndarray]]:
    """Run dialogues side by side, one a slot. -> per dialogue: output frames, and the
    reply on the listener's clock float32 [N].

    The system hears its own reply as a faint echo, as it would in a room; the dialogues
    themselves must come without one. `fresh`: start new sessions, else go on.
    """
    if fresh:
        session.reset()
    n = dialogues[0].turns
    frames = [{round(t / TURN_S): pair for t, pair in d.frames} for d in dialogues]
    heard: list[list[Turn]] = [[] for _ in dialogues]
    # The room hears the replies ECHO_SAMPLES late: two views of one recording.
    room = np.zeros((len(dialogues), ECHO_SAMPLES + (n + 1) * TURN_SAMPLES), np.float32)
    replies = room[:, ECHO_SAMPLES:]
    for k in range(n):
        cut = slice(k * TURN_SAMPLES, (k + 1) * TURN_SAMPLES)
        outputs = session.step(
            audio=[
                d.user[cut] + ECHO_GAIN * r[cut]
                for d, r in zip(dialogues, room, strict=True)
            ],
            frames=[f.get(k) for f in frames],
        )
        for slot, out in enumerate(outputs):
            speaks = any(e.kind == "SPEAK" for e in out.events)
            heard[slot].append(Turn((k + 1) * TURN_S, speaks, out.text, out.cleared))
            replies[slot, (k + 1) * TURN_SAMPLES : (k + 2) * TURN_SAMPLES] = out.audio
    return list(zip(heard, replies, strict=True))


def identify(
    templates: WordTemplates, answer: Answer, wave: np.ndarray
) -> Iterator[tuple[str, str]]:
    """Words of a right answer, cut from the sound by the agent's own word times.
    -> (word said in text, word recognised in the sound; "" where there is no sound)."""
    for word in agent_speech(answer.text.split()).words:
        if answer.onset is None:
            yield word.text, ""
            continue
        a = round((answer.onset + word.t0) * SAMPLE_RATE)
        b = round((answer.onset + word.t1) * SAMPLE_RATE)
        loud = a < len(wave) and np.abs(wave[a:b]).max() > 1e-4
        yield word.text, templates.identify(wave[a:b])[0] if loud else ""


def mel_error(answer: Answer, wave: np.ndarray) -> float | None:
    """Mean absolute log10-mel difference between a right answer's sound and the agent's
    own recording of the same words, over frames in which either sounds."""
    spoken = agent_speech(answer.text.split()).wave
    if answer.onset is None:
        return None
    start = round(answer.onset * SAMPLE_RATE)
    said = wave[start : start + len(spoken)]
    if len(said) < len(spoken):
        return None
    a, b = agent_mel(said), agent_mel(spoken)
    loud = np.maximum(a.max(1), b.max(1)) > LOUD
    return float(np.abs(a - b)[loud].mean()) if loud.any() else None


def run_split(session: Session, split: str, args: argparse.Namespace) -> dict:
    """Play and score `args.n` dialogues of a split. -> figures of the report."""
    templates = WordTemplates({w: agent_speech([w]).wave for w in AGENT_WORDS})
    tally = Tally()
    words: list[tuple[str, str]] = []
    errors: list[float | None] = []
    firsts = range(0, args.n, session.slots)
    for first in track(firsts, description=split):
        every = [
            world.dialogue(args.seed, first + i, split=split, turns=args.turns, echo=False)
            for i in range(session.slots)
        ]
        played = play(session, every, fresh=not args.continuous or first == 0)
        for dialogue, (turns, wave) in list(zip(every, played, strict=True))[
            : args.n - first
        ]:
            for answer in score(dialogue, turns, tally):
                words += identify(templates, answer, wave)
                errors.append(mel_error(answer, wave))
    figures = figures_of(args.n, tally, words)
    measured = [e for e in errors if e is not None]
    figures["answer_mel_mae_log10"] = float(np.mean(measured)) if measured else None
    return figures


def figures_of(n: int, tally: Tally, words: list[tuple[str, str]]) -> dict:
    """Rates with Wilson intervals and onsets with bootstrap ones; null where a figure
    does not exist (an onset quantile that falls on an unanswered question)."""
    onsets = np.array(tally.onsets)
    rates = tally.rates | {
        "onset within 0.6 s": [int(x <= 0.6) for x in onsets],
        "word heard in the sound": [int(a == b) for a, b in words],
    }
    finite = lambda x: float(x) if np.isfinite(x) else None  # noqa: E731
    median = lambda x: np.percentile(x, 50, method="higher")  # noqa: E731
    out = {
        "dialogues": n,
        "rates": {
            name: {"rate": sum(v) / len(v), "n": len(v), "ci95": wilson(sum(v), len(v))}
            for name, v in sorted(rates.items())
            if v
        },
        "unanswered": int(np.isinf(onsets).sum()),
    }
    if len(onsets):
        interval = bootstrap(onsets, median)
        out |= {
            "onset_median_s": finite(median(onsets)),
            "onset_median_ci95_s": [finite(x) for x in interval],
            "onset_p95_s": finite(np.percentile(onsets, 95, method="higher")),
        }
    return out


def table(figures: dict[str, dict]) -> str:
    """One line a rate and split, for the terminal and the card."""
    lines = [f"{'':34}" + "".join(f"{split:>34}" for split in figures)]
    names = sorted({name for f in figures.values() for name in f["rates"]})
    for name in names:
        line = f"{name:34}"
        for f in figures.values():
            r = f["rates"].get(name)
            cell = "-"
            if r:
                low, high = r["ci95"]
                cell = f"{r['rate']:.1%} [{low:.1%}, {high:.1%}] n={r['n']}"
            line += f"{cell:>34}"
        lines.append(line)
    values = (
        ("onset_median_s", "onset median", "s"),
        ("onset_p95_s", "onset p95", "s"),
        ("answer_mel_mae_log10", "answer mel error", "log10"),
    )
    for key, name, unit in values:
        cells = [f.get(key) for f in figures.values()]
        shown = ["none" if c is None else f"{c:.2f} {unit}" for c in cells]
        lines.append(f"{name:34}" + "".join(f"{c:>34}" for c in shown))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m eval.dialogues",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--checkpoint", default="nano", help="name or directory")
    parser.add_argument("--n", type=int, default=300, help="dialogues a split")
    parser.add_argument("--splits", nargs="+", default=SPLITS, choices=("train", *SPLITS))
    parser.add_argument("--slots", type=int, default=20, help="dialogues side by side")
    parser.add_argument("--turns", type=int, default=64, help="micro-turns a dialogue")
    parser.add_argument("--seed", type=int, default=1_000_003)
    parser.add_argument("--report", type=Path, help="JSON to write")
    parser.add_argument(
        "--continuous",
        action="store_true",
        help="dialogues follow one another in the same sessions, which grow old",
    )
    args = parser.parse_args()
    if args.n < 1 or args.slots < 2 or args.turns < 16:
        raise InputError(
            "give --n of 1 or more, --slots of 2 or more, --turns of 16 or more"
        )
    with Staged() as staged:
        place = staged.path(args.report) if args.report else None
        session = Session.open(args.checkpoint, slots=args.slots, seed=args.seed)
        figures = {split: run_split(session, split, args) for split in args.splits}
        print(table(figures))
        if place:
            weights = (session.package.path / "model.safetensors").read_bytes()
            header = report.header("interaction.dialogues/1", session.config)
            asked = {k: v for k, v in vars(args).items() if k != "report"}
            asked["weights_sha256"] = hashlib.sha256(weights).hexdigest()
            report.write_report(place, header | {"asked": asked, "splits": figures})
    return 0


if __name__ == "__main__":
    run_command(main)
