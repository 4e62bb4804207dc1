"""A dot bounces before the camera: does the system count aloud, and right?

As RepCount is asked of a system that speaks: the last number said behind the last bounce
but one is its count; none is wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from eval.agents.fixed_latency import delay
from eval.ears import Ears
from eval.formulas.repetition import off_by_one, relative_error
from eval.judge import Judge
from eval.record import Record
from eval.sample import Act, Fault, Sample, Span
from eval.scene import Scene, canvas, disc, film, next_turn
from eval.task import Asked, Metric, Published, Row
from eval.utterances import plain
from interaction.data.scenes.words import NUMBERS

TIMES = (3, 8)  # both included
PERIOD_S = (0.9, 1.4)  # of a bounce
STILL_S = 1.0  # between the request and the first bounce
ROOM_S = 2.0
FLOOR, HIGH, RADIUS = 31.0, 24.0, 5.0  # pixels


def _sample(seed: int, index: int) -> Sample:
    s = Scene("repcount_synth", seed, index)
    asked = s.say("count how many times it bounces".split(), s.rng.uniform(0.4, 1.0))
    times, period = int(s.rng.integers(*TIMES, endpoint=True)), s.rng.uniform(*PERIOD_S)
    first = asked.t1 + STILL_S
    x, grey, colour = s.rng.uniform(15, 65), s.rng.uniform(0, 60), (250, 220, 40)

    def draw(t: float) -> np.ndarray:
        bounces = (t - first) / period
        up = 1 - (2 * (bounces % 1) - 1) ** 2 if 0 <= bounces < times else 0.0
        picture = canvas(grey)
        picture[disc(FLOOR - up * HIGH, x, RADIUS)] = colour
        return picture

    landings = [first + period * (i + 1) for i in range(times)]
    audio = s.audio(landings[-1] + ROOM_S)
    return Sample(
        id=s.id,
        audio=audio,
        user=tuple(s.spans),
        frames=film(landings[-1] + ROOM_S, draw, s.rng),
        truth={"count": times, "landings": landings},
        ideal=tuple(Act(next_turn(t), NUMBERS[i + 1]) for i, t in enumerate(landings)),
    )


def counted(words: Sequence[Span], since: float) -> int | None:
    """The last number among the words from `since` on."""
    for word in reversed([w for w in words if w.t0 >= since]):
        for piece in reversed(plain(word.text)):
            if piece.isdecimal():
                return int(piece)
            if piece in NUMBERS:
                return NUMBERS.index(piece)
    return None


@dataclass(frozen=True)
class RepetitionCounting(Published):
    about: str = "a dot bounces; counted aloud"
    version: int = 1
    synthetic: bool = True

    metrics = {
        "obo": Metric(up=True, hears=True, about="at most one off"),
        "mae": Metric(up=False, hears=True, about="error as a share of the truth"),
        "exact": Metric(up=True, hears=True, about="the count itself"),
        "counted": Metric(up=True, hears=True, about="said a number at the end"),
    }

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        return (_sample(asked.seed, i) for i in itertools.count())

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        since = record.truth["landings"][-2]
        return _row(counted(ears.words(record), since), record.truth["count"])

    def known(self, agent: str, sample: Sample) -> Row | None:
        times = sample.truth["count"]
        if agent == "oracle":
            return {"obo": 1, "mae": 0, "exact": 1, "counted": 1}
        if agent in ("silent", "parrot", "always_talk") or delay(agent) is not None:
            return {"obo": 0, "mae": times / (times + 0.1), "exact": 0, "counted": 0}
        return None


def _row(found: int | None, times: int) -> Row:
    if found is None:  # as if it had counted none, which is never close
        return {"obo": 0, "mae": relative_error(0, times), "exact": 0, "counted": 0}
    return {
        "obo": off_by_one(found, times),
        "mae": relative_error(found, times),
        "exact": float(found == times),
        "counted": 1,
    }


TASK = RepetitionCounting()
