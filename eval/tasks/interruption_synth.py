"""The user speaks up while the system counts: does it fall silent, and what does it say?

Full-Duplex-Bench's user interruption, with a question whose answer is known or a word that
hushes. What that benchmark does not ask is asked too: whether the system was speaking at
all, and whether it stopped.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from eval import calibration
from eval.agents.fixed_latency import TEXT, delay, start
from eval.ears import Ears
from eval.formulas.full_duplex_bench import latency, took_turn
from eval.judge import Judge
from eval.record import Record
from eval.sample import Act, Fault, Sample
from eval.scene import Scene, onset, yielding
from eval.task import Asked, Metric, Published, Row
from eval.utterances import speaking, texts
from interaction.data.espeak import agent_speech
from interaction.data.scenes import arithmetic, echo
from interaction.data.scenes.plan import Plan
from interaction.data.scenes.words import HUSHES, NUMBERS

INTO_S = 0.6  # of the count, before the user speaks up, and as much is left at least
ROOM_S = 2.0
YIELD_S = 0.6  # an interruption is obeyed within this
EARLY_S = 0.1
HUSHED = 1 / 3


def _sample(seed: int, index: int) -> Sample:
    s = Scene("interruption_synth", seed, index)
    n = int(s.rng.integers(6, 11))
    count = NUMBERS[1 : n + 1]
    asked = s.say(("count", "to", NUMBERS[n]), s.rng.uniform(0.4, 1.0))
    begins, counting = onset(asked.t1), agent_speech(count).seconds
    if s.rng.random() < HUSHED:
        plan = Plan("hush", HUSHES[s.rng.integers(len(HUSHES))])
    else:
        plan = (echo, arithmetic)[s.rng.integers(2)].build(s.rng, False)
    by = s.say(plan.says, begins + s.rng.uniform(INTO_S, counting - INTO_S))
    ideal = [Act(begins, " ".join(count)), Act(yielding(by.t0), "")]
    end = by.t1 + ROOM_S
    if plan.answer:
        ideal.append(Act(onset(by.t1), " ".join(plan.answer)))
        end += agent_speech(plan.answer).seconds
    return Sample(
        id=s.id,
        audio=s.audio(end),
        user=tuple(s.spans),
        truth={
            "interruption": [by.t0, by.t1],
            "said": by.span.text,
            "answer": " ".join(plan.answer) if plan.answer else None,
        },
        ideal=tuple(ideal),
    )


def obeyed(stopped: float | None, t0: float, t1: float) -> dict[str, float | None]:
    """Of an interruption [t0, t1]. stopped: when the speech that went on at t0 ended; None:
    there was none."""
    if stopped is None:
        return {"was_speaking": 0, "yielded": None, "stop_latency": None,
                "kept_talking": None}  # fmt: skip
    return {
        "was_speaking": 1,
        "yielded": float(stopped - t0 <= YIELD_S),
        "stop_latency": stopped - t0,
        "kept_talking": float(stopped >= max(t1, t0 + YIELD_S)),
    }


@dataclass(frozen=True)
class Interruption(Published):
    about: str = "the user speaks up while the system speaks; yields, then answers"
    version: int = 1
    synthetic: bool = True

    metrics = {
        "yielded": Metric(
            up=True, detects=True, about="of those speaking: silent within 0.6 s"
        ),
        "right": Metric(up=True, hears=True, about="the new answer's words and no others"),
        "answered": Metric(up=True, hears=True, about="said anything behind the question"),
        "latency": Metric(up=False, hears=True, unit="s", about="where it answered"),
        "turn_over_rate": Metric(
            up=True, hears=True, about="behind it, as Full-Duplex-Bench counts"
        ),
        "was_speaking": Metric(up=None, detects=True, about="when the user spoke up"),
        "stop_latency": Metric(up=False, detects=True, unit="s", about="of those speaking"),
        "kept_talking": Metric(
            up=False, detects=True, about="of those speaking: all through it"
        ),
        "hushed": Metric(
            up=True, detects=True, about="of those hushed while speaking: silent to the end"
        ),
    }

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        return (_sample(asked.seed, i) for i in itertools.count())

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        t0, t1 = record.truth["interruption"]
        segments = ears.segments(record.output)
        spoke = speaking(segments, t0)
        row = obeyed(spoke[1] if spoke else None, t0, t1)
        if record.truth["answer"] is None:
            silent = not any(b > t0 + YIELD_S for _, b in segments)
            return row | {"hushed": float(silent) if spoke else None}
        since = t1 - EARLY_S
        if row["yielded"]:  # a short question may be over before the last word is
            since = max(since, t0 + (row["stop_latency"] or 0.0))
        behind = [w for w in ears.words(record) if w.t0 >= since]
        return row | {
            "answered": float(bool(behind)),
            "latency": latency(behind, t1) if behind else None,
            "turn_over_rate": took_turn(behind),
            "right": float(texts(behind) == record.truth["answer"].split()),
        }

    def known(self, agent: str, sample: Sample) -> Row | None:
        (t0, t1), asks = sample.truth["interruption"], sample.truth["answer"] is not None
        nothing: dict[str, float | None] = {
            "answered": 0, "latency": None, "right": 0, "turn_over_rate": 0
        }  # fmt: skip
        if agent == "silent":
            return obeyed(None, t0, t1) | (nothing if asks else {"hushed": None})
        if agent == "parrot":
            return nothing if asks else None
        if agent == "always_talk":
            after = {"answered": 1, "right": 0} if asks else {"hushed": 0}
            return {"was_speaking": 1, "yielded": 0, "kept_talking": 1} | after
        segments = calibration.segments(agent, sample)
        if segments is None:
            return None
        spoke = speaking(segments, t0)
        row = obeyed(spoke[1] if spoke else None, t0, t1)
        if agent == "oracle":
            row |= {"was_speaking": 1, "yielded": 1, "kept_talking": 0}
            if not asks:
                return row | {"hushed": 1}
            return row | {"answered": 1, "latency": sample.ideal[-1].t - t1, "right": 1}
        seconds = delay(agent)
        assert seconds is not None
        if not asks:
            return row | {"hushed": 0 if spoke else None}
        done = start(sample.user[0].t1, seconds) + agent_speech(TEXT.split()).seconds
        if done < t1 - 1.0:  # what it says behind the interruption is its answer to that
            row |= {"answered": 1, "latency": start(t1, seconds) - t1, "right": 0}
        return row


TASK = Interruption()
