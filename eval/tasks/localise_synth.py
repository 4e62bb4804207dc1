"""A square moves for some seconds: does the system say when it starts and when it stops?

As temporal localisation is asked of a system that speaks: the interval that it finds lies
between the words. A system that sees and speaks a turn late in both scores
(d - 0.2) / (d + 0.2) for d seconds: one that is perfect knows before.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from eval.agents.fixed_latency import delay
from eval.ears import Ears
from eval.formulas.temporal import Interval, iou, recalled
from eval.judge import Judge
from eval.record import Record
from eval.sample import TURN_S, Act, Fault, Sample, Span
from eval.scene import Scene, canvas, film, next_turn, square
from eval.task import Asked, Metric, Published, Row
from eval.utterances import plain

STILL_S = (1.0, 3.0)  # between the request and the movement
TURNS = (10, 25)  # that it takes, both included
ROOM_S = 2.0
SPEED = (14.0, 30.0)  # pixels a second
HALF, LEFT, RIGHT = 6.0, 8.0, 72.0  # pixels


def _sample(seed: int, index: int) -> Sample:
    s = Scene("localise_synth", seed, index)
    says = "say start when the square moves and say stop when it rests"
    asked = s.say(says.split(), s.rng.uniform(0.4, 1.0))
    t0 = next_turn(asked.t1 + s.rng.uniform(*STILL_S))
    t1 = t0 + TURN_S * int(s.rng.integers(*TURNS, endpoint=True))
    x, y, speed = s.rng.uniform(LEFT, RIGHT), s.rng.uniform(10, 30), s.rng.uniform(*SPEED)
    grey = s.rng.uniform(0, 60)

    def draw(t: float) -> np.ndarray:
        way = x - LEFT + speed * (np.clip(t, t0, t1) - t0)
        there = RIGHT - LEFT  # it turns round at the edges
        at = LEFT + there - abs(way % (2 * there) - there)
        picture = canvas(grey)
        picture[square(y, at, HALF)] = (60, 200, 240)
        return picture

    return Sample(
        id=s.id,
        audio=s.audio(t1 + ROOM_S),
        user=tuple(s.spans),
        frames=film(t1 + ROOM_S, draw, s.rng),
        truth={"moves": [t0, t1]},
        ideal=(Act(t0, "start"), Act(t1, "stop")),
    )


def found(words: Sequence[Span]) -> Interval | None:
    """From the first "start" to the first "stop" behind it; None where one lacks."""
    said = [(piece, w.t0) for w in words for piece in plain(w.text)]
    starts = [t for piece, t in said if piece == "start"]
    stops = [t for piece, t in said if piece == "stop" and starts and t > starts[0]]
    return (starts[0], stops[0]) if stops else None


@dataclass(frozen=True)
class Localisation(Published):
    about: str = "a square moves for a while; says start and stop"
    version: int = 1
    synthetic: bool = True

    metrics = {
        "iou": Metric(up=True, hears=True, about="of the interval between its words"),
        "r1_0_3": Metric(up=True, hears=True, about="IoU of 0.3 or more"),
        "r1_0_5": Metric(up=True, hears=True, about="IoU of 0.5 or more"),
        "r1_0_7": Metric(up=True, hears=True, about="IoU of 0.7 or more"),
        "complete": Metric(up=True, hears=True, about="said start, and then stop"),
    }

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        return (_sample(asked.seed, i) for i in itertools.count())

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        interval, truth = found(ears.words(record)), tuple(record.truth["moves"])
        return {
            "iou": iou(interval, truth),
            "r1_0_3": recalled(interval, truth, 0.3),
            "r1_0_5": recalled(interval, truth, 0.5),
            "r1_0_7": recalled(interval, truth, 0.7),
            "complete": float(interval is not None),
        }

    def known(self, agent: str, sample: Sample) -> Row | None:
        if agent == "oracle":
            return dict.fromkeys(self.metrics, 1.0)
        if agent in ("silent", "parrot", "always_talk") or delay(agent) is not None:
            return dict.fromkeys(self.metrics, 0.0)
        return None


TASK = Localisation()
