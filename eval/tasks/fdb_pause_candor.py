"""Full-Duplex-Bench v1: does a system stay silent where a speaker only pauses?

Recorded conversations (Candor, 216 samples): --data holds v1_0/candor_pause_handling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eval.ears import Ears
from eval.fdb import FullDuplexBench
from eval.formulas.full_duplex_bench import took_turn
from eval.judge import Judge
from eval.layouts import full_duplex_bench as layout
from eval.record import Record
from eval.sample import Sample
from eval.task import Metric, Row


@dataclass(frozen=True)
class PauseHandling(FullDuplexBench):
    metrics = {
        "turn_over_rate": Metric(
            up=False, official=True, hears=True, about="took a turn, anywhere in the wav"
        ),
        "spoke_in_pause": Metric(
            up=False, detects=True, about="sounded in an annotated pause"
        ),
        "spoke": Metric(up=None, hears=True, about="said any word at all"),
    }

    def read(self, place: Path) -> Iterator[Sample]:
        file = place / self.subset.truth
        events, others = layout.events(file, ["text"], "[PAUSE]")
        pauses = [one["timestamp"] for one in events]
        last = max(b for _, b in pauses)
        yield layout.sample(place, {"pauses": pauses}, (), last, unknown=others)

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        whole = layout.cut(record)
        words, spoken = ears.words(whole), ears.segments(whole.output)
        pauses = record.truth["pauses"]
        return {
            "turn_over_rate": took_turn(words),
            "spoke_in_pause": float(
                any(a < end and b > start for a, b in spoken for start, end in pauses)
            ),
            "spoke": float(bool(words)),
        }

    def known(self, agent: str, sample: Sample) -> Row | None:
        said = {"silent": 0.0, "always_talk": 1.0}.get(agent)
        return None if said is None else dict.fromkeys(self.metrics, said)


TASK = PauseHandling(
    layout.PAUSE_CANDOR,
    "FDB v1, Candor: pauses that are no turn's end",
    {
        "PersonaPlex": {"turn_over_rate": 0.662},
        "dGSLM": {"turn_over_rate": 0.935},
        "Moshi": {"turn_over_rate": 0.980},
        "Freeze-Omni": {"turn_over_rate": 0.481},
        "Gemini 2.0": {"turn_over_rate": 0.310},
        "GPT-Realtime": {"turn_over_rate": 0.120},
    },
)
