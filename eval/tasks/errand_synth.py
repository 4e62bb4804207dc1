"""A question for a background model: is it handed over, and told when it comes back?

A sum too large to know, or a thing to be looked up; the answer comes three seconds after
the system has asked for it, as words that it has to say. Meanwhile the user may ask
something else, or call the errand off; or the errand fails. A third of the samples has
nothing to hand over.

The system hands over by the tool `delegate`; `directive` "cancel" calls off.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from eval.agents.fixed_latency import delay
from eval.ears import Ears
from eval.judge import Judge
from eval.record import Record
from eval.sample import TURN_S, Act, Fault, Sample, Span, Tool
from eval.task import Asked, Metric, Published, Row
from interaction.data import world
from interaction.data.dialogue import Dialogue, Exchange, Utterance
from interaction.data.errand import FAILED
from interaction.data.scenes.words import CHECKING, SORRY

TURNS = 64
DELAY_S = 3.0  # of the tool
SPLITS = ("held_out_combinations", "held_out_voices")  # sums, voices not met
MIX = {"errand": 1.0}
PLAIN = {"echo": 1.0, "arithmetic": 1.0, "side_talk": 0.3}
EARLY_S = 0.1  # before the measured end of a question, an answer may begin
LATE_S = 2.0  # behind a question, what is handed over is still about it
ACKNOWLEDGED_S, TOLD_S = 0.8, 1.0
READ_S = 0.4  # for an ideal system to read what has come
NEAR_S = 0.3  # and to leave between two utterances
TOOL = "delegate"


def _grid(t: float) -> float:
    return round(-(-(t - 1e-6) // TURN_S) * TURN_S, 3)


@dataclass(frozen=True)
class Errands(Published):
    about: str = "hands questions over to its background, and tells what comes back"
    version: int = 2  # 2: "eighty eight" does not tell "eighty"
    synthetic: bool = True

    metrics = {
        "right": Metric(True, hears=True, about="said what came back, word for word"),
        "recall": Metric(True, about="of questions that need it, those handed over"),
        "precision": Metric(True, about="of what was handed over, what needed it"),
        "acknowledged": Metric(True, hears=True, about="spoke within 0.8 s"),
        "followed": Metric(True, hears=True, about="answered another question meanwhile"),
        "in_time": Metric(True, hears=True, about="told within 1 s of a free floor"),
        "delay": Metric(False, hears=True, unit="s", about="from a free floor"),
        "talked_over": Metric(False, hears=True, about="told while the user spoke"),
        "dropped": Metric(True, hears=True, about="said nothing of what was called off"),
        "failure_told": Metric(True, hears=True, about="said so where it failed"),
    }

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        made = 0
        for i in itertools.count():
            needs = made % 3 != 2
            split, mix = SPLITS[made // 3 % 2], MIX if needs else PLAIN
            d = world.dialogue(asked.seed, i, split, TURNS, mix, echo=False)
            begun = [e for e in d.exchanges if e.task == "acknowledge"]
            if len(begun) != needs or not d.exchanges:
                continue
            yield _sample(f"errand-{made:04}", d, begun[0] if needs else None)
            made += 1

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        truth, words = record.truth, ears.words(record)
        row = dict.fromkeys(self.metrics) | {"followed": _followed(truth, words)}
        begin, end = truth["question"] or (0.0, -1.0)
        calls = [c for c in record.calls if c.arguments.get("directive") != "cancel"]
        mine = [c for c in calls if begin < c.t <= end + LATE_S]
        if calls:
            row["precision"] = len(mine[:1]) / len(calls)
        if not truth["question"]:
            return row
        row["recall"] = float(bool(mine))
        spoken = [w.t0 for w in words if w.t0 >= end - EARLY_S]
        row["acknowledged"] = float(bool(spoken) and spoken[0] <= end + ACKNOWLEDGED_S)
        if truth["recalled"]:
            late = [w for w in words if w.t0 > truth["recalled"] + TURN_S]
            row["dropped"] = float(not late)
            return row
        row |= self._told(record, words, truth)
        return row

    def _told(self, record: Record, words: list[Span], truth: dict[str, Any]) -> Row:
        came = [t for t, name, text in record.results if name == TOOL and text]
        wanted = truth["result"].split()
        later = [w for w in words if came and w.t0 >= came[0]]
        at = _find(later, wanted, whole=True)
        row: dict[str, float | None] = {
            "failure_told" if truth["failed"] else "right": float(at is not None)
        }
        if at is None:
            return row | {"in_time": 0.0}
        busy = [w.t1 for w in words if came[0] - TURN_S < w.t1 <= at]
        busy += [span.t1 for span in record.user if span.t0 < at and span.t1 > came[0]]
        delay = at - max([came[0], *busy])
        over = any(span.t0 < at < span.t1 for span in record.user)
        return row | {"in_time": float(delay <= TOLD_S), "delay": max(delay, 0.0),
                      "talked_over": float(over)}  # fmt: skip

    def known(self, agent: str, sample: Sample) -> Row | None:
        needs, recalled = bool(sample.truth["question"]), bool(sample.truth["recalled"])
        if agent in ("silent", "parrot"):
            if not needs:
                return {"recall": None, "precision": None}
            return {"recall": 0, "precision": None, "acknowledged": 0, "talked_over": None,
                    **({"dropped": 1} if recalled else {"in_time": 0})}  # fmt: skip
        if agent == "always_talk" or delay(agent) is not None:
            return {"recall": 0 if needs else None, "precision": None}
        if agent == "oracle":
            row: dict[str, float | None] = {"recall": 1, "precision": 1, "acknowledged": 1}
            if not needs:
                return {"recall": None, "precision": None}
            if recalled:
                return row | {"dropped": 1}
            told = "failure_told" if sample.truth["failed"] else "right"
            return row | {told: 1, "in_time": 1, "talked_over": 0}
        return None


def _sample(id_: str, d: Dialogue, asked: Exchange | None) -> Sample:
    user = tuple(
        Span(u.text, u.t0, u.t1) for u in d.utterances if u.lane in ("user", "side")
    )
    also = [e for e in d.exchanges if e.task in ("echo", "arithmetic")]
    truth: dict[str, Any] = {
        "question": None, "result": None, "failed": False, "recalled": None,
        "also": [[e.question_end, e.answer] for e in also],
    }  # fmt: skip
    ideal = [Act(e.onset, e.answer) for e in also if e.onset is not None and e.answer]
    tools: tuple[Tool, ...] = (_tool(""),)
    if asked is not None:
        assert asked.onset is not None
        truth["question"] = [asked.utterance_t0, asked.question_end]
        ideal += [Act(asked.onset, CHECKING), Act(asked.onset, call=TOOL)]
        recalled = [e for e in d.exchanges if e.task == "recall"]
        told = [e for e in d.exchanges if e.task == "result"]
        if recalled:
            truth["recalled"] = recalled[0].question_end
            tools = (_tool("never"),)
            called_off = next(t for t, kind in d.control if kind == "cancel")
            ideal.append(Act(called_off, call=TOOL, arguments={"directive": "cancel"}))
        elif told:
            answer = told[0].answer or ""
            truth |= {"result": answer, "failed": answer == SORRY}
            tools = (_tool(" ".join(FAILED) if answer == SORRY else answer),)
            ideal.append(Act(_free(d, asked.onset + DELAY_S, user), answer))
    return Sample(
        id=id_, audio=d.user, user=user, tools=tools, truth=truth,
        ideal=tuple(sorted(ideal, key=lambda act: act.t)),
    )  # fmt: skip


def _tool(result: str) -> Tool:
    parameters = {"type": "object", "properties": {"directive": {"type": "string"}}}
    answer = lambda given: "" if given.get("directive") == "cancel" else result  # noqa: E731
    return Tool(TOOL, "hand a question to the background", parameters, answer, DELAY_S)


def _free(d: Dialogue, came: float, user: Sequence[Span]) -> float:
    """When an ideal system tells what has come: nobody speaks, nor is about to."""
    speech: list[Span | Utterance] = [*user]
    speech += [u for u in d.utterances if u.lane == "agent" and u.t0 < came]
    t = _grid(came + READ_S)
    for each in sorted(speech, key=lambda s: s.t0):
        if each.t0 - 2 * NEAR_S < t < each.t1 + NEAR_S:
            t = _grid(each.t1 + NEAR_S)
    return t


def _followed(truth: dict[str, Any], words: Sequence[Span]) -> float | None:
    """Share of other questions that were answered, of those that there are."""
    right = [
        _find([w for w in words if w.t0 >= end - EARLY_S], answer.split()) is not None
        for end, answer in truth["also"]
        if answer
    ]
    return sum(right) / len(right) if right else None


def _find(
    words: Sequence[Span], wanted: Sequence[str], whole: bool = False
) -> float | None:
    """When these words are said one after the other. whole: and no other right behind."""
    said = [w.text for w in words]
    for i in range(len(said) - len(wanted) + 1):
        end = i + len(wanted)
        goes_on = end < len(words) and words[end].t0 - words[end - 1].t1 < NEAR_S
        if said[i:end] == list(wanted) and not (whole and goes_on):
            return words[i].t0
    return None


TASK = Errands()
