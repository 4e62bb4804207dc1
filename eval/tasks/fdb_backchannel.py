"""Full-Duplex-Bench v1: short signs of listening, without taking the turn.

Recorded conversations (ICC, 55 samples): --data holds v1_0/icc_backchannel. When people
backchannelled is in the icc_gt_distribution.json of --official-repo; without it there is
no `jsd`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eval.ears import Ears
from eval.fdb import FullDuplexBench
from eval.formulas.full_duplex_bench import backchannel, divergence
from eval.judge import Judge
from eval.layouts import full_duplex_bench as layout
from eval.record import Record
from eval.sample import Fault, Sample
from eval.task import Asked, Metric, Row
from interaction.errors import InputError


@dataclass(frozen=True)
class Backchannels(FullDuplexBench):
    metrics = {
        "turn_over_rate": Metric(
            up=False, official=True, hears=True, detects=True,
            about="by the last stretch of speech up to the first over 3 s",
        ),
        "frequency": Metric(
            up=True, official=True, detects=True, unit="/s",
            about="stretches of up to 3 s, before the first over 3 s",
        ),
        "jsd": Metric(
            up=False, official=True, detects=True,
            about="distance to when people did; 1 for silence, else at most 0.833",
        ),
        "ever_took_turn": Metric(
            up=False, hears=True, detects=True, about="by any stretch, not the last alone"
        ),
    }  # fmt: skip

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        people = layout.people(asked.official)

        def read(place: Path) -> Iterator[Sample]:
            if people and place.name not in people:
                raise InputError(
                    f"{place}: icc_gt_distribution.json has no {place.name!r}; "
                    "folders are named after its keys"
                )
            yield layout.sample(place, {"people": people.get(place.name)}, ())

        return layout.samples(asked, self.subset, read)

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        whole, people = layout.cut(record), record.truth["people"]
        seconds = whole.seconds
        heard = backchannel(ears.segments(whole.output), ears.words(whole), seconds)
        return {
            "turn_over_rate": heard.took_turn,
            "frequency": heard.frequency,
            "jsd": divergence(heard.said, seconds, people) if people else None,
            "ever_took_turn": heard.ever_took_turn,
        }

    def known(self, agent: str, sample: Sample) -> Row | None:
        if agent == "silent":
            jsd = 1.0 if sample.truth["people"] else None
            return {"turn_over_rate": 0, "frequency": 0, "jsd": jsd, "ever_took_turn": 0}
        if agent == "always_talk":
            return {"turn_over_rate": 1, "ever_took_turn": 1}
        return None


TASK = Backchannels(
    layout.BACKCHANNEL,
    "FDB v1, ICC: short signs of listening",
    {
        "PersonaPlex": {"turn_over_rate": 0.327, "frequency": 0.025, "jsd": 0.649},
        "dGSLM": {"turn_over_rate": 0.691, "frequency": 0.015, "jsd": 0.934},
        "Moshi": {"turn_over_rate": 1.0, "frequency": 0.001, "jsd": 0.957},
        "Freeze-Omni": {"turn_over_rate": 0.636, "frequency": 0.001, "jsd": 0.997},
        "Gemini 2.0": {"turn_over_rate": 0.091, "frequency": 0.012, "jsd": 0.896},
        "GPT-Realtime": {"turn_over_rate": 0.0, "frequency": 0.007, "jsd": 0.980},
    },
)
