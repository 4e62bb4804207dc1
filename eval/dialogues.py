"""Free-running scores of a checkpoint on synthetic dialogues that it has not met.

    python -m eval.dialogues --checkpoint=nano --report=dialogues.json

Held-out voices (known words) and held-out combinations (known voices), 300 dialogues
each: answers by text, onset, interruptions, silence, and the words in the sound itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.progress import track

from eval.behaviour import TURN_S, Answer, Tally, Turn, score
from eval.intervals import bootstrap, wilson
from interaction import report
from interaction.data import world
from interaction.data.dialogue import Dialogue
from interaction.data.espeak import agent_speech
from interaction.data.scenes.words import AGENT_WORDS
from interaction.errors import run_command
from interaction.modality.audio import SAMPLE_RATE, TURN_SAMPLES
from interaction.modality.identify import WordTemplates

SPLITS = ("held_out_voices", "held_out_combinations")
EPILOG = """example:
  python -m eval.dialogues --checkpoint=nano --n=40 --splits=held_out_voices"""


def play(session, dialogues: list[Dialogue]) -> list[tuple[list[Turn], np.ndarray]]:
    """Run dialogues side by side, one a slot. -> per dialogue: output frames, and the
    reply on the listener's clock float32 [N]."""
    session.reset()
    n = dialogues[0].turns
    frames = [{round(t / TURN_S): pair for t, pair in d.frames} for d in dialogues]
    heard: list[list[Turn]] = [[] for _ in dialogues]
    waves = [[np.zeros(TURN_SAMPLES, np.float32)] for _ in dialogues]
    for k in range(n):
        cut = slice(k * TURN_SAMPLES, (k + 1) * TURN_SAMPLES)
        outputs = session.step(
            audio=[d.user[cut] for d in dialogues], frames=[f.get(k) for f in frames]
        )
        for slot, out in enumerate(outputs):
            speaks = any(e.kind == "SPEAK" for e in out.events)
            heard[slot].append(Turn((k + 1) * TURN_S, speaks, out.text, out.cleared))
            waves[slot].append(out.audio)
    return [(h, np.concatenate(w)) for h, w in zip(heard, waves, strict=True)]


def identify(
    templates: WordTemplates, answer: Answer, wave: np.ndarray
) -> Iterator[tuple[str, str]]:
    """Words of a right answer, cut from the sound by the agent's own word times.
    -> (word said in text, word recognised in the sound)."""
    for word in agent_speech(answer.text.split()).words:
        a = round((answer.onset + word.t0) * SAMPLE_RATE)
        b = round((answer.onset + word.t1) * SAMPLE_RATE)
        if b <= len(wave) and np.abs(wave[a:b]).max() > 1e-4:
            yield word.text, templates.identify(wave[a:b])[0]
        elif b <= len(wave):
            yield word.text, ""


def run_split(session, split: str, n: int, seed: int, turns: int) -> dict:
    """Play and score `n` dialogues of a split. -> figures of the report."""
    templates = WordTemplates({w: agent_speech([w]).wave for w in AGENT_WORDS})
    tally, words = Tally(), []
    starts_at = list(range(0, n, session.slots))
    for first in track(starts_at, description=split, disable=None):
        every = [
            world.dialogue(seed, first + i, split=split, turns=turns)
            for i in range(session.slots)
        ]
        for dialogue, (frames, wave) in list(
            zip(every, play(session, every), strict=True)
        )[: n - first]:
            for answer in score(dialogue, frames, tally):
                words += identify(templates, answer, wave)
    onsets = np.array(tally.onsets)
    within = [int(x <= 0.6) for x in onsets]
    rates = tally.rates | {
        "onset within 0.6 s": within,
        "word heard in the sound": [int(a == b) for a, b in words],
    }
    return {
        "dialogues": n,
        "rates": {
            name: {"rate": sum(v) / len(v), "n": len(v), "ci95": wilson(sum(v), len(v))}
            for name, v in sorted(rates.items())
            if v
        },
        "onset_median_s": float(np.median(onsets)),
        "onset_median_ci95_s": bootstrap(onsets, np.median),
        "onset_p95_s": float(np.percentile(onsets, 95, method="lower")),
    }


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
    for key, name in (("onset_median_s", "onset median"), ("onset_p95_s", "onset p95")):
        cells = "".join(f"{f[key]:>32.2f} s" for f in figures.values())
        lines.append(f"{name:34}" + cells)
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
    parser.add_argument(
        "--splits", nargs="+", default=SPLITS, choices=("train", *SPLITS)
    )
    parser.add_argument("--slots", type=int, default=20, help="dialogues side by side")
    parser.add_argument("--turns", type=int, default=64, help="micro-turns a dialogue")
    parser.add_argument("--seed", type=int, default=1_000_003)
    parser.add_argument("--report", type=Path, help="JSON to write")
    args = parser.parse_args()
    from interaction.session import Session

    session = Session.open(args.checkpoint, slots=max(args.slots, 2), seed=args.seed)
    figures = {
        s: run_split(session, s, args.n, args.seed, args.turns) for s in args.splits
    }
    print(table(figures))
    if args.report:
        header = report.header("interaction.dialogues/1", asdict(session.config))
        report.write_report(
            args.report, header | {"splits": figures, "seed": args.seed}
        )
    return 0


if __name__ == "__main__":
    run_command(main)
