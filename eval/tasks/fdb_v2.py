"""Full-Duplex-Bench v2: conversations of two minutes with an examiner that has a goal in
stages; a judge scores every turn, and how the goal was met.

200 tasks: --data holds conversations that the benchmark's own orchestrator recorded
(`eval/layouts/full_duplex_bench_v2.py` shows how), and its examiner's side is what a system
hears. `--agent=recorded --agent_args=path=DATA` is the system that was in the conversation.
Any other hears an examiner who does not react to it. The judge needs --judge, and
--official-repo for its rubrics.

No figure is official: examiner and recordings come from elsewhere, and the rubrics are put
together in words of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from eval.ears import Ears, Segment
from eval.formulas.full_duplex_bench_v2 import (
    STRETCH_S,
    STRETCHES,
    means,
    over_time,
    read,
)
from eval.judge import Judge
from eval.layouts import full_duplex_bench as recordings
from eval.layouts import full_duplex_bench_v2 as layout
from eval.record import Record
from eval.sample import Fault, Sample
from eval.task import Asked, Metric, Published, Row
from eval.utterances import utterances

JUDGE = "gemini-2.5-flash"
TEMPERATURE = 0.2
SCORES = {
    "turn_taking": "turns taken in time, 1 to 5",
    "instructions": "the examiner's wishes kept in mind over turns, 1 to 5",
    "task": "the split's own rubric, 1 to 5; Daily has none",
}
SPLITS = {"Daily": "daily", "Correction": "correction", "EntityTracking": "tracking",
          "Safety": "safety"}  # fmt: skip


def _judged(about: str, of: Callable[[Sequence[Row]], float | None] | None = None):
    return Metric(up=True, hears=True, judge=JUDGE, of=of, about=about)


def _stretch(score: str, i: int) -> Callable[[Sequence[Row]], float | None]:
    """Of a score, in the i-th 15 s, by how long its events lie in it."""

    def over(rows: Sequence[Row]) -> float | None:
        seconds = sum(row.get(f"seconds_{i}") or 0.0 for row in rows)
        sums = sum(row.get(f"{score}_{i}") or 0.0 for row in rows)
        return sums / seconds if seconds else None

    return over


def _metrics() -> dict[str, Metric]:
    shown = {score: _judged(f"{about}; mean of conversations")
             for score, about in SCORES.items()}  # fmt: skip
    for score in SCORES:
        for split, name in SPLITS.items():
            if score != "task" or split in layout.RUBRICS:
                shown[f"{score}_{name}"] = _judged(f"in {split}")
    for score in ("turn_taking", "instructions"):
        for i in range(STRETCHES):
            a, b = round(i * STRETCH_S), round((i + 1) * STRETCH_S)
            about = f"from {a} to {b} s, events weighted by time"
            shown[f"{score}_{b}s"] = _judged(about, _stretch(score, i))
    return shown | {
        "spoke": Metric(up=True, hears=True, about="said any word"),
        "talked_over": Metric(
            up=None, detects=True, about="share of the examiner's speech, spoken over"
        ),
    }


def talked_over(examiner: Sequence[Segment], system: Sequence[Segment]) -> float | None:
    """Share of the examiner's speech in which the system speaks too."""
    heard = sum(b - a for a, b in examiner)
    both = sum(max(min(b, d) - max(a, c), 0.0) for a, b in examiner for c, d in system)
    return both / heard if heard else None


@dataclass(frozen=True)
class Conversations(Published):
    about: str = "FDB v2: conversations with an examiner, rated by a judge"
    version: int = 1
    synthetic: bool = False

    metrics = _metrics()

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        return layout.samples(asked.data, asked.official)

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        whole = recordings.cut(record)
        words = ears.words(whole)
        spoken = ears.segments(whole.output)
        row: dict[str, float | None] = {
            "spoke": float(bool(words)),
            "talked_over": talked_over(ears.segments(whole.input), spoken),
        }
        if judge.official is None:
            return row
        asked = layout.prompt(judge.official, record.truth, utterances(words))
        replies = judge.ask(asked, temperature=TEMPERATURE)
        judged = read(replies[0]) if replies else None
        if judged is None:
            if replies:
                judge.misread()
            return row
        scores = dict(zip(SCORES, (*means(judged.events), judged.task), strict=True))
        split = record.truth["split"]
        if split not in layout.RUBRICS:
            scores["task"] = None
        row |= scores | {f"{score}_{SPLITS[split]}": v for score, v in scores.items()}
        for i, sums in enumerate(over_time(judged.events)):
            names = ("seconds", "turn_taking", "instructions")
            row |= {f"{name}_{i}": v for name, v in zip(names, sums, strict=True)}
        return row

    def known(self, agent: str, sample: Sample) -> Row | None:
        return {"spoke": 0, "talked_over": 0} if agent == "silent" else None


TASK = Conversations()
