"""The user tells something in several sentences: does the system show that it listens,
without taking over?

A backchannel is a word or two that take less than a second; its place is the pause behind
a sentence. Full-Duplex-Bench's backchannel, with places that are known.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eval.agents.fixed_latency import delay
from eval.ears import Ears
from eval.judge import Judge
from eval.record import Record
from eval.sample import Act, Fault, Sample, Span
from eval.scene import Scene, onset
from eval.task import Asked, Metric, Published, Row
from eval.utterances import utterances
from interaction.data.scenes.statements import STATEMENTS

SENTENCES = (3, 5)
PAUSE_S = (0.8, 1.2)
PLACE_S = 0.8  # a backchannel begins so soon behind a sentence
EARLY_S = 0.1
SHORT_S, FEW = 1.0, 2
LISTENING = ("yeah", "right", "okay")


def _sample(seed: int, index: int) -> Sample:
    s = Scene("backchannel_synth", seed, index)
    t, told = s.rng.uniform(0.4, 1.0), []
    n = int(s.rng.integers(*SENTENCES, endpoint=True))
    for i in s.rng.permutation(len(STATEMENTS))[:n]:
        told.append(s.say(STATEMENTS[i], t))
        t = told[-1].t1 + s.rng.uniform(*PAUSE_S)
    places = [[u.t1 - EARLY_S, u.t1 + PLACE_S] for u in told[:-1]]
    ideal = (Act(onset(u.t1), LISTENING[s.rng.integers(len(LISTENING))]) for u in told[:-1])
    return Sample(
        id=s.id,
        audio=s.audio(told[-1].t1),
        user=tuple(s.spans),
        truth={"places": places, "end": told[-1].t1},
        ideal=tuple(ideal),
    )


def is_backchannel(said: Span) -> bool:
    return said.t1 - said.t0 < SHORT_S and len(said.text.split()) <= FEW


def placed(said: Sequence[Span], places: Sequence[tuple[float, float]]) -> Row:
    """Precision, recall and F1 of utterances as backchannels in their places."""
    short = [u for u in said if is_backchannel(u)]
    filled = [any(a <= u.t0 <= b for u in short) for a, b in places]
    right = sum(any(a <= u.t0 <= b for a, b in places) for u in short)
    precision = right / len(said) if said else None
    recall = sum(filled) / len(filled)
    both = (precision or 0.0) + recall
    f1 = 2 * (precision or 0.0) * recall / both if both else 0.0
    return {"f1": f1, "precision": precision, "recall": recall}


@dataclass(frozen=True)
class Backchannel(Published):
    about: str = "the user tells something; short signs of listening in their places"
    version: int = 1
    synthetic: bool = True

    metrics = {
        "f1": Metric(up=True, hears=True, about="of precision and recall"),
        "precision": Metric(
            up=True, hears=True, about="of its utterances: short, and behind a sentence"
        ),
        "recall": Metric(up=True, hears=True, about="sentences with one behind them"),
        "took_over": Metric(
            up=False, hears=True, about="said more than two words, or for a second or more"
        ),
        "frequency": Metric(up=None, hears=True, unit="/s", about="backchannels"),
    }

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        return (_sample(asked.seed, i) for i in itertools.count())

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        end = record.truth["end"]
        said = utterances([w for w in ears.words(record) if w.t0 < end])
        short = [u for u in said if is_backchannel(u)]
        return dict(placed(said, record.truth["places"])) | {
            "took_over": float(len(short) < len(said)),
            "frequency": len(short) / end,
        }

    def known(self, agent: str, sample: Sample) -> Row | None:
        none = {"f1": 0, "recall": 0}
        if agent in ("silent", "parrot"):
            return none | {"precision": None, "took_over": 0, "frequency": 0}
        if agent == "always_talk" or delay(agent) is not None:
            return none | {"precision": 0, "took_over": 1, "frequency": 0}
        if agent == "oracle":
            every = len(sample.ideal) / sample.truth["end"]
            return {"f1": 1, "precision": 1, "recall": 1, "took_over": 0,
                    "frequency": every}  # fmt: skip
        return None


TASK = Backchannel()
