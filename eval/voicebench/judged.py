"""VoiceBench's tasks that a judge rates.

As the official code asks: three replies, at temperature 0.5 and top-p 0.95, by its prompt,
which is read from the evaluator's checkout; without one by a prompt of ours, and the
figures then have another name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from eval.ears import Ears
from eval.formulas import ratings
from eval.judge import Judge
from eval.layouts.prompts import prompt
from eval.record import Record
from eval.spoken import response
from eval.task import ANY, Metric, Row
from eval.voicebench.base import VoiceBench

JUDGE = "gpt-4o-mini"

RATE = """Somebody asked a voice assistant for something. Rate its answer from 1 to 5.
1: beside the point, or wrong. 2: to the point in part, with errors or gaps. 3: right in
the main, too long or with needless parts. 4: right, to the point, short enough. 5: as
good as it could be.

Asked:
{prompt}

Answered:
{response}

Reply with the number alone."""
CORRECT = """Question:
{prompt}

Right answer:
{reference}

Given answer:
{response}

Is the given answer right? Reply with Yes or No alone."""
SYSTEM = "You are a helpful assistant who tries to help answer the user's question."
PROMPTS = "api_judge.py"  # in a checkout


@dataclass(frozen=True)
class Judged(VoiceBench):
    """ours: a prompt; theirs: the name of the official one."""

    ours: ClassVar[str]
    theirs: ClassVar[str]

    def value(self, replies: list[str], judge: Judge) -> float | None:
        """What a judge's replies come to."""
        raise NotImplementedError

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        said, row, text = response(record, ears), record.truth["row"], self.ours
        if judge.official is not None:
            text = prompt(judge.official / PROMPTS, self.theirs)
        for name in ("prompt", "reference"):
            text = text.replace(f"{{{name}}}", row.get(name, ""))
        asked = text.replace("{response}", said)
        replies = judge.ask(asked, system=SYSTEM, temperature=0.5, n=3, top_p=0.95)
        value = None if replies is None else self.value(replies, judge)
        official = judge.official is not None
        return {
            "gpt": value if official else None,
            "gpt_own_prompt": None if official else value,
            "answered": 100.0 * bool(said),
        }


def _metrics(unit: str, about: str) -> Mapping[str, Metric]:
    return {
        "gpt": Metric(up=True, official=True, judge=JUDGE, unit=unit, about=about),
        "gpt_own_prompt": Metric(
            up=True, judge=ANY, unit=unit, about=f"{about}; a prompt of ours"
        ),
        "answered": Metric(up=True, unit="%"),
    }


@dataclass(frozen=True)
class Open(Judged):
    ours = RATE
    theirs = "meta_prompt_open"
    evaluator: str = "open"
    metrics: Mapping[str, Metric] = field(default_factory=lambda: _metrics("", "1 to 5"))

    def value(self, replies: list[str], judge: Judge) -> float | None:
        read = [ratings.number(reply, 1, 5) for reply in replies]
        known = [value for value in read if value is not None]
        for _ in range(len(read) - len(known)):
            judge.misread()
        return sum(known) / len(known) if known else None


@dataclass(frozen=True)
class Referenced(Judged):
    """The official `panda` figure is not computed: its classifier, PEDANT, is some pickles
    that the package qa-metrics downloads from a branch, of no version; reading one runs
    what is in it. Their evaluator computes it of what `export` writes."""

    ours = CORRECT
    theirs = "meta_prompt_qa"
    evaluator: str = "qa"
    metrics: Mapping[str, Metric] = field(
        default_factory=lambda: _metrics("%", "right, by most of three")
    )

    def value(self, replies: list[str], judge: Judge) -> float | None:
        right = ratings.majority(replies)
        if right is None:
            judge.misread()
        return None if right is None else 100.0 * right
