"""VoiceBench's multiple-choice questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eval.ears import Ears, Unheard
from eval.formulas.mcq import CHOICES, chosen
from eval.judge import Judge
from eval.record import Record
from eval.spoken import response
from eval.task import Metric, Row
from eval.voicebench import choice
from eval.voicebench.base import VoiceBench


@dataclass(frozen=True)
class Letters(VoiceBench):
    needs: Sequence[str] = ("reference",)
    evaluator: str = "mcq"
    metrics: Mapping[str, Metric] = field(default_factory=lambda: choice.metrics(4))

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        wanted = record.truth["row"]["reference"]
        if len(wanted) != 1 or wanted not in CHOICES:
            raise Unheard(f"{record.id}: reference {wanted!r} is none of {CHOICES}")
        given = chosen(response(record, ears))
        index = None if given is None else CHOICES.index(given)
        return choice.row(index, CHOICES.index(wanted))
