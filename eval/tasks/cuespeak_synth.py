"""The user says what to answer to a cue, and talks on: does the system answer the cue in
time, while the user speaks?

A sample is one meaning and one window; both or nothing. Behind the cue the user goes on for
seconds, so that an answer in the window is spoken at the same time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from eval import on_time
from eval.ears import Ears
from eval.judge import Judge
from eval.record import Record
from eval.sample import Act, Fault, Sample, Span
from eval.scene import Scene, Uttered, onset
from eval.task import Asked, Published, Row
from interaction.data.scenes.statements import STATEMENTS, sample_statement
from interaction.data.scenes.words import CUES, NUMBERS

FAMILIES = ("word", "number", "gap", "foreign")
WITHIN_S = 0.5  # from the cue's end; a window's core
GAP_S = 0.12  # between what the user says in several goes
THINK_S = (1.2, 1.8)  # between the instruction and the talk
ROOM_S = 1.6
SPANISH = {
    "manzana": "apple", "ventana": "window", "lluvia": "rain", "perro": "dog",
    "gato": "cat", "agua": "water", "leche": "milk", "cuchillo": "knife",
    "silla": "chair", "mesa": "table",
}  # fmt: skip


def _content(words: tuple[str, ...]) -> list[str]:
    """Words that can be a cue: said in no other sentence of the sample, and long enough."""
    return [w for w in words if len(w) > 4]


def _word(s: Scene, t: float) -> tuple[Uttered, str]:
    """-> the cue, what to say to it. The user talks on behind it."""
    first, second = sample_statement(s.rng), sample_statement(s.rng)
    fits = [w for w in _content(first) if w not in second]
    while not fits:
        first = STATEMENTS[s.rng.integers(len(STATEMENTS))]
        fits = [w for w in _content(first) if w not in second]
    cue, answer = fits[s.rng.integers(len(fits))], CUES[s.rng.integers(len(CUES))]
    t = s.say(("when", "i", "say", cue, "say", answer), t).t1 + s.rng.uniform(*THINK_S)
    told = s.say(first, t)
    s.say(second, told.t1 + GAP_S)
    return Uttered(tuple(w for w in told.words if w.text == cue)[:1]), answer


def _number(s: Scene, t: float) -> tuple[Uttered, str]:
    n = int(s.rng.integers(3, 7))
    answer = CUES[s.rng.integers(len(CUES))]
    told = s.say(("when", "i", "count", "to", NUMBERS[n], "say", answer), t)
    counted = s.say(NUMBERS[1 : n + 6], told.t1 + s.rng.uniform(*THINK_S))
    return Uttered(counted.words[n - 1 : n]), answer


def _gap(s: Scene, t: float) -> tuple[Uttered, str]:
    """The user skips a number; the one behind it is the cue."""
    n = int(s.rng.integers(3, 7))
    told = s.say("i count and when i skip a number say it".split(), t)
    numbers = (*NUMBERS[1:n], *NUMBERS[n + 1 : n + 7])
    counted = s.say(numbers, told.t1 + s.rng.uniform(*THINK_S))
    return Uttered(counted.words[n - 1 : n]), NUMBERS[n]


def _foreign(s: Scene, t: float) -> tuple[Uttered, str]:
    """One word of another language, in a voice of that language."""
    told = s.say("when i use a spanish word say it in english".split(), t)
    start = s.say(("yesterday", "we", "saw", "the"), told.t1 + s.rng.uniform(*THINK_S))
    word = list(SPANISH)[s.rng.integers(len(SPANISH))]
    cue = s.say((word,), start.t1 + 0.03, replace(s.user, language="es"))
    s.say(("and", *sample_statement(s.rng)), cue.t1 + GAP_S)
    first, rest = s.spans[-2:]
    s.spans[-2:] = [Span(f"{first.text} {word} {rest.text}", first.t0, rest.t1)]
    return cue, SPANISH[word]


PARTS = dict(zip(FAMILIES, (_word, _number, _gap, _foreign), strict=True))


def _sample(seed: int, index: int) -> Sample:
    s = Scene("cuespeak_synth", seed, index)
    family = FAMILIES[index % len(FAMILIES)]
    cue, answer = PARTS[family](s, s.rng.uniform(0.4, 1.0))
    end = s.spans[-1].t1
    return Sample(
        id=f"{s.id}-{family}",
        audio=s.audio(end + ROOM_S),
        user=tuple(s.spans),
        truth={
            "family": family,
            "instruction": s.spans[0].text,
            "cue": [cue.span.text, cue.t0, cue.t1],
            "expected": answer,
            "aliases": [],
            "window": [cue.t1, cue.t1 + WITHIN_S],
            "simultaneous": True,
        },
        ideal=(Act(onset(cue.t1), answer),),
    )


@dataclass(frozen=True)
class CueSpeaking(Published):
    about: str = "an answer to a cue while the user speaks on; both right or nothing"
    version: int = 1
    synthetic: bool = True

    metrics = on_time.metrics(FAMILIES)

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        return (_sample(asked.seed, i) for i in itertools.count())

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        return on_time.measure(record, ears, judge)

    def known(self, agent: str, sample: Sample) -> Row | None:
        return on_time.known(agent, sample)


TASK = CueSpeaking()
