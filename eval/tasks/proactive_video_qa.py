"""ProactiveVideoQA: a question first, then a video, whose moments answer it.

    DATA/{WEB,EGO,TV,VAD}/anno.json   [{video, question_id, duration,
                                        conversation: [{role, content, time}],
                                        answer: [{content, related_timespan,
                                                  reply_timespan}]}]
                          videos/

As in arXiv 2507.09313. What a user says in the video (subtitles, in TV) is written into the
picture. A reply is an utterance; it is given when it begins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.ears import Ears
from eval.footage import Facts
from eval.formulas.pauc import SILENT, kept, pauc
from eval.judge import Judge
from eval.layouts.fields import noted, unknown
from eval.record import Record
from eval.sample import Fault, Sample, Span
from eval.screening import screening, video
from eval.task import ANY, Asked, Metric, Row
from eval.utterances import utterances
from interaction.errors import InputError

CATEGORIES = ("WEB", "EGO", "TV", "VAD")
PARTS = {
    "conversation": ("role", "content", "time"),
    "answer": ("content", "related_timespan", "reply_timespan"),
}
ENTRY = ("video", "question_id", "duration", *PARTS)
ASK = (
    "watch the video and stay quiet until a new moment answers the question. "
    "when one happens, say a concise answer. {}"
)
PAUSE_S = 2.0
RATE = """\
A viewer asked about a video while it played. Compare what an assistant has said so far \
with the reference answer.

Question: {question}
Reference: {answer}
Said so far: {said}

Reply with one digit:
3 if it has all that matters of the reference, whatever the wording and small slips;
2 if it has part of it, or has it with serious errors;
1 if it misses the point."""
WAYS = {"pauc": (0.5, 0), "pauc_at_end": (0.5, 1), "pauc_0": (0.0, 0), "pauc_1": (1.0, 0)}
"""Figure -> omega, and whether a reply is given when it begins (0) or ends (1)."""


def pooled(way: str) -> Callable[[Sequence[Row]], float | None]:
    """Over answers, whatever their video."""

    def over(rows: Sequence[Row]) -> float | None:
        sums = [(v, row["answers"]) for row in rows if (v := row.get(way)) is not None]
        n = sum(answers or 0 for _, answers in sums)
        return sum(v * (answers or 0) for v, answers in sums) / n if n else None

    return over


def by_category(rows: Sequence[Row]) -> float | None:
    """Over answers in each category, then over categories."""
    each = [
        pooled("pauc")([row for row in rows if row.get("category") == c])
        for c in range(len(CATEGORIES))
    ]
    values = [value for value in each if value is not None]
    return sum(values) / len(values) if values else None


@dataclass(frozen=True)
class ProactiveVideoQA:
    about: str = "answers to a question when a video shows them; PAUC"
    version: int = 1
    synthetic: bool = False

    metrics = {
        "pauc": Metric(up=True, hears=True, judge=ANY, unit="%", of=pooled("pauc"),
                       about="omega 0.5, mean of answers; a reply is given as it begins"),
        "pauc_by_category": Metric(up=True, hears=True, judge=ANY, unit="%", of=by_category,
                                   about="the same, mean of the four parts"),
        "pauc_at_end": Metric(up=True, hears=True, judge=ANY, unit="%",
                              of=pooled("pauc_at_end"),
                              about="a reply is given as it ends"),
        "pauc_0": Metric(up=True, hears=True, judge=ANY, unit="%", of=pooled("pauc_0"),
                         about="omega 0: time counts in full"),
        "pauc_1": Metric(up=True, hears=True, judge=ANY, unit="%", of=pooled("pauc_1"),
                         about="omega 1: time does not count"),
        "replies": Metric(up=None, hears=True, about="utterances in a sample"),
    }  # fmt: skip
    published = {
        "TML-interaction-small": {"pauc_by_category": 33.5},
        "GPT-Realtime-2, minimal": {"pauc_by_category": 25.0},
    }
    source = "Thinking Machines Lab on interaction models, by a translation"

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        if asked.data is None:
            raise InputError("--data=DIR is missing: where ProactiveVideoQA is")
        if not any((asked.data / c / "anno.json").is_file() for c in CATEGORIES):
            raise InputError(
                f"--data={asked.data}: no WEB/anno.json, nor another part's; unpack it"
            )
        for category in CATEGORIES:
            file = asked.data / category / "anno.json"
            try:
                listed = list(json.loads(file.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError) as error:
                yield Fault(category, f"{file} does not read ({error})")
                continue
            for number, one in enumerate(listed):
                yield _of(one, number, category, file.parent / "videos")

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        truth, begin = record.truth, record.truth["begin"]
        said = [Span(u.text, u.t0 - begin, u.t1 - begin)
                for u in utterances(ears.words(record)) if u.t0 >= begin]  # fmt: skip
        worth = [{side: _scored(said, answer, truth["question"], side, judge)
                  for side in (0, 1)} for answer in truth["answers"]]  # fmt: skip
        row: dict[str, float | None] = {
            "category": float(CATEGORIES.index(truth["category"])),
            "answers": float(len(worth)),
            "replies": float(len(said)),
        }
        for way, (omega, side) in WAYS.items():
            each = [_pauc(w[side], answer, omega)
                    for w, answer in zip(worth, truth["answers"], strict=True)]  # fmt: skip
            known = [value for value in each if value is not None]
            row[way] = 100 * sum(known) / len(each) if len(known) == len(each) else None
        return row

    def known(self, agent: str, sample: Sample) -> Row | None:
        return dict.fromkeys(WAYS, 100 * SILENT) if agent in ("silent", "parrot") else None


def _of(one: Any, number: int, category: str, videos: Path) -> Sample | Fault:
    id_ = f"{category}-{number:04}"
    try:
        id_ = f"{category}-{one['question_id']}".replace("/", "_")
        first, *others = one["conversation"]
        answers: list[dict[str, Any]] = [
            {
                "content": str(answer["content"]),
                "reply": _span(answer["reply_timespan"]),
                "related": _span(answer.get("related_timespan", answer["reply_timespan"])),
            }
            for answer in one["answer"]
        ]
        question, name = str(first["content"]), str(one["video"])
        captions = tuple(
            (float(turn["time"]), str(turn["content"]))
            for turn in others
            if turn.get("role", "user") == "user" and turn.get("content")
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return Fault(id_, f"{category}/anno.json, entry {number}: {error!r}")
    if not answers:
        return Fault(id_, f"{category}/anno.json, entry {number}: no answer")

    def truth(found: Facts) -> Mapping[str, Any]:
        return {"category": category, "question": question, "answers": answers}

    def ideal(told: Mapping[str, Any]) -> Iterator[tuple[float, str]]:
        for answer in told["answers"]:
            yield answer["reply"][0], answer["content"].lower()

    names = unknown("anno.json", one, ENTRY)
    for part, fields in PARTS.items():
        names += [n for each in one[part] for n in unknown(part, each, fields)]
    made = screening(
        id_, ASK.format(question), video(videos, name), truth, ideal, pause_s=PAUSE_S,
        seconds=max(answer["reply"][1] for answer in answers), captions=captions,
    )  # fmt: skip
    return noted(made, names)


def _span(given: Any) -> list[float]:
    start, end = map(float, given)
    if not start < end:
        raise ValueError(f"a time span from {start:g} to {end:g}")
    return [start, end]


def _scored(
    said: Sequence[Span], answer: Mapping[str, Any], question: str, side: int, judge: Judge
) -> list[tuple[float, int]] | None:
    """(t, worth 0 to 2 of all said up to then) of the replies in their time; one that says
    nothing new, or that the judge's reply does not rate, is left out. None without a
    judge."""
    t0, t1 = answer["reply"]
    scored, sofar = [], []
    for reply in said:
        t = (reply.t0, reply.t1)[side]
        if not t0 <= t <= t1 or reply.text in sofar:
            continue
        sofar.append(reply.text)
        told = judge.ask(
            RATE.format(question=question, answer=answer["content"], said=" ".join(sofar))
        )
        if told is None:
            return None
        rated = re.match(r"\s*([123])\b", told[0])
        if rated:
            scored.append((t, int(rated[1]) - 1))
        else:
            judge.misread()
    return kept(scored, answer["related"][1])


def _pauc(
    scored: list[tuple[float, int]] | None, answer: Mapping[str, Any], omega: float
) -> float | None:
    t0, t1 = answer["reply"]
    return None if scored is None else pauc(scored, t0, t1, omega)


TASK = ProactiveVideoQA()
