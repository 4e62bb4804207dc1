"""The user asks for words at a time: does the system say them then, unasked?

A sample is one meaning and one window; both or nothing. Five families, of which the first
is what our smallest checkpoint was trained on. In a rhythm of 2 s a window that is wider by
2 s takes in the words before and behind.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from eval import on_time
from eval.ears import Ears
from eval.judge import Judge
from eval.record import Record
from eval.sample import TURN_S, Act, Fault, Sample
from eval.scene import Scene, next_turn, onset
from eval.task import Asked, Published, Row
from interaction.data.espeak import agent_speech
from interaction.data.scenes.words import CUES, NOUNS, NUMBERS

FAMILIES = ("in", "every", "then", "count", "words")
ROOM_S = 2.4  # behind the window: as much as windows are widened, and a little
WAIT_S = (2, 5)  # both included
AT_ONCE_S = 1.0


def _seconds(n: int) -> tuple[str, str]:
    return NUMBERS[n], "second" if n == 1 else "seconds"


def _sample(seed: int, index: int) -> Sample:
    s = Scene("timespeak_synth", seed, index)
    family = FAMILIES[index % len(FAMILIES)]
    lead, n = s.rng.uniform(0.4, 1.0), int(s.rng.integers(*WAIT_S, endpoint=True))
    # "now" is also when the user wants a word.
    cues = [cue for cue in CUES if family == "in" or cue != "now"]
    cue, other = (cues[i] for i in s.rng.permutation(len(cues))[:2])
    wait = float(n)
    text, before, besides = cue, [], []
    if family == "in":
        end = s.say(("say", cue, "in", *_seconds(n)), lead).t1
    elif family == "every":
        n = int(s.rng.integers(2, 4))
        end = s.say(("say", cue, "every", *_seconds(n)), lead).t1
        times = int(s.rng.integers(2, 4))
        wait = float(n * times)
        before = [(next_turn(end + n * i), cue) for i in range(1, times)]
        besides = [[end, end + AT_ONCE_S], *([t, t + TURN_S] for t, _ in before)]
    elif family == "then":
        says = ("say", other, "now", "and", cue, "in", *_seconds(n))
        end = s.say(says, lead).t1
        before, besides = [(onset(end), other)], [[end, end + AT_ONCE_S]]
    elif family == "count":
        text = " ".join(NUMBERS[1:4])
        end = s.say(("count", "to", "three", "in", *_seconds(n)), lead).t1
    else:
        text = " ".join(NOUNS[i] for i in s.rng.permutation(len(NOUNS))[:2])
        end = s.say(("in", *_seconds(n), "say", *text.split()), lead).t1
    t = next_turn(end + wait)
    return Sample(
        id=f"{s.id}-{family}",
        audio=s.audio(t + agent_speech(text.split()).seconds + ROOM_S),
        user=tuple(s.spans),
        truth={
            "family": family,
            "instruction": s.spans[0].text,
            "expected": text,
            "aliases": [],
            "window": [end + wait, end + wait + TURN_S],
            "besides": besides,
            "simultaneous": False,
        },
        ideal=(*(Act(a, said) for a, said in before), Act(t, text)),
    )  # fmt: skip


@dataclass(frozen=True)
class TimeSpeaking(Published):
    about: str = "words at a time that the user named; both right or nothing"
    version: int = 1
    synthetic: bool = True

    metrics = on_time.metrics(FAMILIES)

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        return (_sample(asked.seed, i) for i in itertools.count())

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        return on_time.measure(record, ears, judge)

    def known(self, agent: str, sample: Sample) -> Row | None:
        return on_time.known(agent, sample)


TASK = TimeSpeaking()
