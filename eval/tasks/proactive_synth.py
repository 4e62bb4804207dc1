"""A light changes its colour: does the system, asked to tell, speak up when it happens?

Scored by PAUC, as ProactiveVideoQA is. A reply is an utterance, and its time is when it
begins; what began before the change is none. Worth 2: it names the new colour alone; 1: the
new colour and others; 0: anything else.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from eval.agents.fixed_latency import TEXT, delay, start
from eval.ears import Ears
from eval.formulas.pauc import SILENT, kept, pauc
from eval.judge import Judge
from eval.record import Record
from eval.sample import Act, Fault, Sample, Span
from eval.scene import Scene, canvas, disc, film, next_turn
from eval.task import Asked, Metric, Published, Row
from eval.utterances import plain, utterances
from interaction.data.espeak import agent_speech
from interaction.data.scenes.words import COLOURS

RGB = {
    "red": (215, 30, 30), "blue": (35, 60, 220), "green": (30, 160, 50),
    "yellow": (235, 215, 30), "white": (250, 250, 250), "pink": (245, 130, 185),
}  # fmt: skip
QUIET_S = (2.0, 5.0)  # between the request and the change
SPAN_S = (3.0, 5.0)  # in which a reply counts
RELATED_S = 2.0  # of it, in which the change is news
OMEGAS = {"pauc": 0.5, "pauc_0": 0.0, "pauc_1": 1.0}


def _sample(seed: int, index: int) -> Sample:
    s = Scene("proactive_synth", seed, index)
    old, new = (COLOURS[i] for i in s.rng.permutation(len(COLOURS))[:2])
    says = "be quiet now and say the new color when the light changes"
    asked = s.say(says.split(), s.rng.uniform(0.4, 1.0))
    t0 = next_turn(asked.t1 + s.rng.uniform(*QUIET_S))
    t1 = t0 + s.rng.uniform(*SPAN_S)
    x, y, radius = s.rng.uniform(15, 65), s.rng.uniform(14, 26), s.rng.uniform(7, 10)
    grey = s.rng.uniform(0, 60)

    def draw(t: float) -> np.ndarray:
        picture = canvas(grey)
        picture[disc(y, x, radius)] = RGB[old if t <= t0 else new]
        return picture

    return Sample(
        id=s.id,
        audio=s.audio(t1 + agent_speech((new,)).seconds),
        user=tuple(s.spans),
        frames=film(t1 + agent_speech((new,)).seconds, draw, s.rng),
        truth={
            "before": old, "answer": new, "reply_timespan": [t0, t1],
            "related_timespan": [t0, t0 + RELATED_S],
        },
        ideal=(Act(t0, new),),
    )  # fmt: skip


def worth(said: str, colour: str) -> int:
    named = set(plain(said)) & set(COLOURS)
    return 0 if colour not in named else 2 if named == {colour} else 1


def replies(said: Sequence[Span], truth: dict) -> list[tuple[float, int]]:
    """(when, worth of all said so far) of the utterances in the reply's time, without those
    that say again what was said."""
    t0, t1 = truth["reply_timespan"]
    scored: list[tuple[float, int]] = []
    every: list[str] = []
    for u in said:
        if t0 <= u.t0 <= t1 and u.text not in every:
            every.append(u.text)
            scored.append((u.t0, worth(" ".join(every), truth["answer"])))
    return kept(scored, truth["related_timespan"][1])


@dataclass(frozen=True)
class Proactive(Published):
    about: str = "a light changes its colour; speaks up by itself"
    version: int = 1
    synthetic: bool = True

    metrics = {
        "pauc": Metric(up=True, hears=True, unit="%", about="PAUC, omega 0.5"),
        "pauc_0": Metric(up=True, hears=True, unit="%", about="omega 0: late is lost"),
        "pauc_1": Metric(up=True, hears=True, unit="%", about="omega 1: late is as good"),
        "replied": Metric(up=True, hears=True, about="spoke up in time"),
        "right": Metric(up=True, hears=True, about="and named the new colour alone"),
        "latency": Metric(
            up=False, hears=True, unit="s", about="to the first reply, if any"
        ),
        "too_soon": Metric(up=False, hears=True, about="spoke before the change"),
    }

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        return (_sample(asked.seed, i) for i in itertools.count())

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        said = utterances(ears.words(record))
        scored = replies(said, record.truth)
        t0, t1 = record.truth["reply_timespan"]
        row = {name: 100 * pauc(scored, t0, t1, w) for name, w in OMEGAS.items()}
        return row | {
            "replied": float(bool(scored)),
            "right": float(bool(scored) and scored[-1][1] == 2),
            "latency": scored[0][0] - t0 if scored else None,
            "too_soon": float(any(u.t0 < t0 for u in said)),
        }

    def known(self, agent: str, sample: Sample) -> Row | None:
        t0, _ = sample.truth["reply_timespan"]
        none = dict.fromkeys(OMEGAS, 100 * SILENT)
        none |= {"replied": 0, "right": 0, "too_soon": 0}
        if agent in ("silent", "parrot"):
            return none | {"latency": None}
        if agent == "always_talk":  # one long utterance, begun at once
            return none | {"latency": None, "too_soon": 1}
        if (seconds := delay(agent)) is not None:
            begins = start(sample.user[0].t1, seconds)
            if begins + agent_speech(TEXT.split()).seconds < t0:
                return none | {"latency": None, "too_soon": 1}
            return None
        if agent == "oracle":
            return dict.fromkeys((*OMEGAS, ), 100.0) | {
                "replied": 1, "right": 1, "latency": 0, "too_soon": 0}  # fmt: skip
        return None


TASK = Proactive()
