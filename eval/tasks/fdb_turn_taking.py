"""Full-Duplex-Bench v1: does a system take its turn, and how soon?

Recorded conversations (Candor, 119 samples): --data holds v1_0/candor_turn_taking.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eval.agents.fixed_latency import delay, start
from eval.ears import Ears
from eval.fdb import FullDuplexBench
from eval.formulas.full_duplex_bench import latency, took_turn
from eval.judge import Judge
from eval.layouts import full_duplex_bench as layout
from eval.record import Record
from eval.sample import Sample, Span
from eval.task import Metric, Row


@dataclass(frozen=True)
class TurnTaking(FullDuplexBench):
    metrics = {
        "turn_over_rate": Metric(up=True, official=True, hears=True),
        "latency": Metric(
            up=False, official=True, hears=True, unit="s",
            about="where it took a turn; 0 for whoever spoke before its end",
        ),
        "early": Metric(up=False, hears=True, about="began before the turn had ended"),
        "latency_censored": Metric(
            up=False, hears=True, unit="s",
            about="of those that were not early; the time that was left for no answer",
        ),
    }  # fmt: skip

    def read(self, place: Path) -> Iterator[Sample]:
        file = place / self.subset.truth
        events, others = layout.events(file, ["text"], "[TURN-TAKING]")
        end = float(events[0]["timestamp"][0])
        user = [Span("", 0.0, end)]
        yield layout.sample(place, {"end": end}, user, end, unknown=others)

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        end, words = record.truth["end"], ears.words(layout.cut(record))
        turn = took_turn(words)
        early = bool(words) and words[0].t0 < end
        left = max(record.truth["seconds"] - end, 0.0)
        waited = latency(words, end) if words else left
        return {
            "turn_over_rate": turn,
            "latency": latency(words, end) if turn else None,
            "early": float(early),
            "latency_censored": None if early else waited,
        }

    def known(self, agent: str, sample: Sample) -> Row | None:
        end, seconds = sample.truth["end"], sample.truth["seconds"]
        if agent in ("silent", "parrot"):  # a parrot writes no words
            return {"turn_over_rate": 0, "latency": None, "early": 0,
                    "latency_censored": seconds - end}  # fmt: skip
        if agent == "always_talk":
            return {"turn_over_rate": 1, "latency": 0, "early": 1, "latency_censored": None}
        if (late := delay(agent)) is not None and start(end, late) + 2 < seconds:
            waited = start(end, late) - end
            return {"turn_over_rate": 1, "latency": waited, "early": 0,
                    "latency_censored": waited}  # fmt: skip
        return None


TASK = TurnTaking(
    layout.TURN_TAKING,
    "FDB v1, Candor: the end of a turn",
    {
        "PersonaPlex": {"turn_over_rate": 0.992, "latency": 0.070},
        "dGSLM": {"turn_over_rate": 0.975, "latency": 0.352},
        "Moshi": {"turn_over_rate": 0.941, "latency": 0.265},
        "Freeze-Omni": {"turn_over_rate": 0.336, "latency": 0.953},
        "Gemini 2.0": {"turn_over_rate": 0.655, "latency": 1.301},
        "GPT-Realtime": {"turn_over_rate": 1.0, "latency": 1.470},
    },
)
