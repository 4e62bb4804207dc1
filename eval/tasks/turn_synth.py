"""A question and its answer: does the system take its turn, how soon, and is it right?

Full-Duplex-Bench's turn-taking with questions whose answers are known.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from eval.agents.fixed_latency import delay, start
from eval.ears import Ears
from eval.formulas.full_duplex_bench import latency, took_turn
from eval.judge import Judge
from eval.record import Record
from eval.sample import Act, Fault, Sample
from eval.scene import Scene, onset
from eval.task import Asked, Metric, Published, Row
from interaction.data.scenes import arithmetic, echo

LEAD_S = (0.4, 1.0)
ROOM_S = 3.0  # for an answer, behind where it should begin
EARLY_S = 0.1  # a first word this little before the measured end is an answer


def _sample(seed: int, index: int) -> Sample:
    s = Scene("turn_synth", seed, index)
    plan = (echo, arithmetic)[s.rng.integers(2)].build(s.rng, False)
    assert plan.answer is not None
    end = s.say(plan.says, s.rng.uniform(*LEAD_S)).t1
    begins, answer = onset(end), " ".join(plan.answer)
    return Sample(
        id=s.id,
        audio=s.audio(begins + ROOM_S),
        user=tuple(s.spans),
        truth={"end": end, "answer": answer},
        ideal=(Act(begins, answer),),
    )


@dataclass(frozen=True)
class TurnTaking(Published):
    about: str = "a question; turn-over rate, latency, right answers"
    version: int = 1
    synthetic: bool = True

    metrics = {
        "answered": Metric(up=True, hears=True, about="said anything behind the question"),
        "latency": Metric(up=False, hears=True, unit="s", about="where it answered"),
        "right": Metric(up=True, hears=True, about="the answer's words and no others"),
        "early": Metric(up=False, hears=True, about="spoke before the question had ended"),
        "turn_over_rate": Metric(
            up=True, hears=True, about="as Full-Duplex-Bench counts: short answers are none"
        ),
    }

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        return (_sample(asked.seed, i) for i in itertools.count())

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        end, words = record.truth["end"], ears.words(record)
        behind = [w for w in words if w.t0 >= end - EARLY_S]
        return {
            "answered": float(bool(behind)),
            "latency": latency(behind, end) if behind else None,
            "right": float([w.text for w in behind] == record.truth["answer"].split()),
            "early": float(len(behind) < len(words)),
            "turn_over_rate": took_turn(words),
        }

    def known(self, agent: str, sample: Sample) -> Row | None:
        end = sample.truth["end"]
        nothing = {"answered": 0, "latency": None, "right": 0, "early": 0}
        if agent in ("silent", "parrot"):  # a parrot writes no words
            return nothing | {"turn_over_rate": 0}
        if agent == "always_talk":
            return {"answered": 1, "right": 0, "early": 1, "turn_over_rate": 1}
        if (seconds := delay(agent)) is not None:
            return {"answered": 1, "latency": start(end, seconds) - end, "right": 0,
                    "early": 0, "turn_over_rate": 1}  # fmt: skip
        if agent == "oracle":
            return {
                "answered": 1,
                "latency": sample.ideal[0].t - end,
                "right": 1,
                "early": 0,
            }
        return None


TASK = TurnTaking()
