"""A question with a pause in it: does the system wait until it is whole?

The pause comes where nobody could take the question for complete. Full-Duplex-Bench's
pause handling, with questions whose answers are known.
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
from eval.utterances import texts
from interaction.data.espeak import agent_speech
from interaction.data.scenes import arithmetic, count, echo

LEAD_S = (0.6, 1.0)
PAUSE_S = (0.3, 0.9)
ROOM_S = 1.6  # behind an ideal answer, for one that comes later
EARLY_S = 0.1  # a first word this little before the measured end is an answer


def _sample(seed: int, index: int) -> Sample:
    s = Scene("pause_synth", seed, index)
    plan = (echo, arithmetic, count)[s.rng.integers(3)].build(s.rng, False)
    assert plan.answer is not None
    cut = int(s.rng.choice(plan.may_pause_after))
    before = s.say(plan.says[:cut], s.rng.uniform(*LEAD_S))
    behind = s.say(plan.says[cut:], before.t1 + s.rng.uniform(*PAUSE_S))
    begins = onset(behind.t1)
    return Sample(
        id=s.id,
        audio=s.audio(begins + agent_speech(plan.answer).seconds + ROOM_S),
        user=tuple(s.spans),
        truth={
            "pause": [before.t1, behind.t0],
            "end": behind.t1,
            "answer": " ".join(plan.answer),
        },
        ideal=(Act(begins, " ".join(plan.answer)),),
    )


@dataclass(frozen=True)
class PauseHandling(Published):
    about: str = "a question with a pause in it; waits, then answers"
    version: int = 1
    synthetic: bool = True

    metrics = {
        "waited": Metric(
            up=True, detects=True, about="no sound before the question had ended"
        ),
        "turn_over_rate": Metric(
            up=False, hears=True, about="before its end, as Full-Duplex-Bench counts"
        ),
        "answered": Metric(up=True, hears=True, about="said anything behind the question"),
        "latency": Metric(up=False, hears=True, unit="s", about="where it answered"),
        "right": Metric(up=True, hears=True, about="the answer's words and no others"),
    }

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        return (_sample(asked.seed, i) for i in itertools.count())

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        end, words = record.truth["end"], ears.words(record)
        behind = [w for w in words if w.t0 >= end - EARLY_S]
        starts = [a for a, _ in ears.segments(record.output)]
        return {
            "waited": float(not any(a < end - EARLY_S for a in starts)),
            "turn_over_rate": took_turn([w for w in words if w.t0 < end - EARLY_S]),
            "answered": float(bool(behind)),
            "latency": latency(behind, end) if behind else None,
            "right": float(texts(behind) == record.truth["answer"].split()),
        }

    def known(self, agent: str, sample: Sample) -> Row | None:
        end = sample.truth["end"]
        nothing = {"turn_over_rate": 0, "answered": 0, "latency": None, "right": 0}
        if agent == "silent":
            return nothing | {"waited": 1}
        if agent == "parrot":  # writes no words; the room's noise may pass for speech
            return nothing
        if agent == "always_talk":
            return {"waited": 0, "turn_over_rate": 1, "answered": 1, "right": 0}
        if (seconds := delay(agent)) is not None:
            if start(sample.truth["pause"][0], seconds) < end - EARLY_S:
                return {"waited": 0, "answered": 1, "right": 0}
            return {"waited": 1, "turn_over_rate": 0, "answered": 1, "right": 0,
                    "latency": start(end, seconds) - end}  # fmt: skip
        if agent == "oracle":
            return {"waited": 1, "turn_over_rate": 0, "answered": 1, "right": 1,
                    "latency": sample.ideal[0].t - end}  # fmt: skip
        return None


TASK = PauseHandling()
