"""VoiceBench, BBH: four tasks of BIG-Bench Hard with two answers each."""

from __future__ import annotations

from dataclasses import dataclass

from eval.ears import Ears, Unheard
from eval.formulas import bbh
from eval.judge import Judge
from eval.record import Record
from eval.spoken import response
from eval.task import Row
from eval.voicebench import choice
from eval.voicebench.base import VoiceBench


@dataclass(frozen=True)
class BigBenchHard(VoiceBench):
    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        row = record.truth["row"]
        task, wanted = bbh.task_of(row["id"]), bbh.TRUTH.get(row["reference"].lower())
        if task is None:
            raise Unheard(f"{record.id}: id {row['id']!r} is of none of {list(bbh.TASKS)}")
        if wanted is None:
            raise Unheard(f"{record.id}: reference {row['reference']!r} is no answer")
        return choice.row(bbh.answered(response(record, ears), task), wanted)


TASK = BigBenchHard(
    about="reasoning with two answers; yes or no, (a) or (b)",
    folder="bbh",
    evaluator="bbh",
    needs=("id", "reference"),
    metrics=choice.metrics(2),
)
