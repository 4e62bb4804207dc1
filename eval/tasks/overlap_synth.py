"""Somebody speaks while the system counts to ten: the user to it, in agreement, to somebody
else, or a stranger behind. Does it tell these apart?

The four scenes of Full-Duplex-Bench v1.5. What the system did is read from its words: the
count is known, and so is the answer to the user's question.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eval import calibration
from eval.agents.fixed_latency import TEXT
from eval.ears import Ears
from eval.judge import Judge
from eval.record import Record
from eval.sample import Act, Fault, Sample
from eval.scene import Scene, onset, yielding
from eval.task import Asked, Metric, Published, Row, mean_of
from eval.utterances import speaking, texts
from interaction.data.espeak import agent_speech
from interaction.data.scenes import arithmetic, echo
from interaction.data.scenes.statements import sample_statement
from interaction.data.scenes.words import NUMBERS

SCENES = ("interruption", "backchannel", "other", "background")
AGREEING = ("yeah", "right", "okay", "i see", "uh huh", "yes")
ASKING_BACK = {"sorry", "what", "pardon", "repeat", "again"}
COUNT = NUMBERS[1:11]
INTO_S = (0.8, 2.0)  # of the count, before somebody speaks
ROOM_S = 2.0


def _sample(seed: int, index: int) -> Sample:
    s = Scene("overlap_synth", seed, index)
    scene = SCENES[index % len(SCENES)]
    asked = s.say(("count", "to", COUNT[-1]), s.rng.uniform(0.4, 1.0))
    begins = onset(asked.t1)
    t, answer = begins + s.rng.uniform(*INTO_S), None
    done = begins + agent_speech(COUNT).seconds
    ideal = [Act(begins, " ".join(COUNT))]
    if scene == "interruption":
        plan = (echo, arithmetic)[s.rng.integers(2)].build(s.rng, False)
        assert plan.answer is not None
        over, answer = s.say(plan.says, t), " ".join(plan.answer)
        ideal += [Act(yielding(over.t0), ""), Act(onset(over.t1), answer)]
        done = ideal[-1].t + agent_speech(plan.answer).seconds
    elif scene == "backchannel":
        words = AGREEING[s.rng.integers(len(AGREEING))].split()
        over = s.say(words, t, db=s.rng.uniform(-6, 0))
    elif scene == "other":
        over = s.say(sample_statement(s.rng), t, db=s.rng.uniform(-6, 0))
    else:
        over = s.say(sample_statement(s.rng), t, s.stranger, s.rng.uniform(-20, -10))
    return Sample(
        id=f"{s.id}-{scene}",
        audio=s.audio(max(done, over.t1) + ROOM_S),
        user=tuple(s.spans),
        truth={
            "scene": scene,
            "over": [over.t0, over.t1],
            "said": over.span.text,
            "counting": " ".join(COUNT),
            "answer": answer,
        },
        ideal=tuple(ideal),
    )


def behaviour(
    before: Sequence[str], behind: Sequence[str], count: Sequence[str], answer: str | None
) -> str:
    """What words before and behind the start of the other's speech tell: `respond` (the
    answer; where none is due, any words that do not belong to the count), `resume` (the
    rest of the count, to its end), `uncertain` (asks back), or `unknown`."""
    if answer is not None and _within(answer.split(), behind):
        return "respond"
    if set(behind) & ASKING_BACK:
        return "uncertain"
    if answer is None and set(behind) - set(count):
        return "respond"
    rest = count[len(before) :] if list(before) == list(count[: len(before)]) else ()
    if rest and list(behind[-len(rest) :]) == list(rest):
        return "resume"
    return "unknown"


def _within(part: Sequence[str], words: Sequence[str]) -> bool:
    n = len(part)
    return any(list(words[i : i + n]) == list(part) for i in range(len(words) - n + 1))


def _best(scene: str) -> str:
    return "respond" if scene == "interruption" else "resume"


def _behaved(scene: str, did: str) -> dict[str, float | None]:
    kinds = ("respond", "resume", "uncertain", "unknown")
    row: dict[str, float | None] = {k: float(k == did) for k in kinds}
    row[scene] = row["behaved"] = float(did == _best(scene))
    return row


def timing(
    segments: Sequence[tuple[float, float]], t0: float, t1: float, interrupts: bool
) -> dict[str, float | None]:
    """interrupts: whether the other's speech, [t0, t1], is an interruption."""
    spoke = speaking(segments, t0)
    starts = [a for a, _ in segments if a >= t1]
    timed = interrupts and spoke is not None
    return {
        "was_speaking": float(spoke is not None),
        "stop_latency": spoke[1] - t0 if timed and spoke else None,
        "response_latency": starts[0] - t1 if interrupts and starts else None,
    }


@dataclass(frozen=True)
class Overlap(Published):
    about: str = "somebody speaks while the system does; four scenes"
    version: int = 1
    synthetic: bool = True

    metrics = {
        "macro": Metric(
            up=True,
            hears=True,
            of=mean_of(SCENES),
            about="did what fits; mean of scenes",
        ),
        "interruption": Metric(up=True, hears=True, about="answered the user's question"),
        "backchannel": Metric(up=True, hears=True, about="counted on through agreement"),
        "other": Metric(up=True, hears=True, about="counted on, the user meant another"),
        "background": Metric(up=True, hears=True, about="counted on, a stranger spoke"),
        "respond": Metric(up=None, hears=True, about="share of all samples"),
        "resume": Metric(up=None, hears=True, about="share of all samples"),
        "uncertain": Metric(up=None, hears=True, about="asked back; share of all samples"),
        "unknown": Metric(
            up=False, hears=True, about="none of these; share of all samples"
        ),
        "behaved": Metric(up=True, hears=True, about="did what fits; share of all samples"),
        "was_speaking": Metric(up=None, detects=True, about="when the other began"),
        "stop_latency": Metric(
            up=False, detects=True, unit="s",
            about="interruption: until it fell silent, where it spoke",
        ),
        "response_latency": Metric(
            up=False, detects=True, unit="s",
            about="interruption: from its end to the next sound's start",
        ),
    }  # fmt: skip

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        return (_sample(asked.seed, i) for i in itertools.count())

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        truth, words = record.truth, ears.words(record)
        t0, t1 = truth["over"]
        before = texts([w for w in words if w.t0 < t0])
        behind = texts([w for w in words if w.t0 >= t0])
        did = behaviour(before, behind, truth["counting"].split(), truth["answer"])
        segments = ears.segments(record.output)
        row = _behaved(truth["scene"], did)
        return row | timing(segments, t0, t1, truth["scene"] == "interruption")

    def known(self, agent: str, sample: Sample) -> Row | None:
        scene, (t0, t1) = sample.truth["scene"], sample.truth["over"]
        interrupts = scene == "interruption"
        if agent == "silent":
            return _behaved(scene, "unknown") | timing([], t0, t1, interrupts)
        if agent == "parrot":
            return _behaved(scene, "unknown")
        answer = sample.truth["answer"]
        if answer and _within(answer.split(), TEXT.split()):
            return None  # right by chance
        segments = calibration.segments(agent, sample)
        if segments is None:
            return None
        did = "unknown" if interrupts else "respond"
        if agent == "oracle":
            did = _best(scene)
        return _behaved(scene, did) | timing(segments, t0, t1, interrupts)


TASK = Overlap()
