"""VoiceBench, IFEval: spoken instructions that a program can check.

`final` is the mean of four: all instructions of a prompt, and each, strictly and loosely.
Officially, samples with one prompt are all scored by the last one's response;
`final_each` scores each by its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eval import record as records
from eval.ears import Ears, Unheard
from eval.formulas import ifeval
from eval.judge import Judge
from eval.record import Record
from eval.spoken import response
from eval.task import Metric, Row
from eval.voicebench.base import VoiceBench, board


def _prompts(column: str) -> Callable[[Sequence[Row]], float | None]:
    """Percent of prompts whose instructions were all followed."""

    def over(rows: Sequence[Row]) -> float | None:
        good = [_number(row, column) == _number(row, "instructions") for row in rows]
        return 100 * sum(good) / len(good) if good else None

    return over


def _each(column: str) -> Callable[[Sequence[Row]], float | None]:
    """Percent of instructions that were followed."""

    def over(rows: Sequence[Row]) -> float | None:
        n = sum(_number(row, "instructions") for row in rows)
        return 100 * sum(_number(row, column) for row in rows) / n if n else None

    return over


def _number(row: Row, column: str) -> float:
    value = row[column]
    assert value is not None
    return value


def _final(strict: str, loose: str) -> Callable[[Sequence[Row]], float | None]:
    def over(rows: Sequence[Row]) -> float | None:
        four = [f(column)(rows) for f in (_prompts, _each) for column in (strict, loose)]
        known = [value for value in four if value is not None]
        return sum(known) / 4 if len(known) == 4 else None

    return over


def _answering(record: Record) -> Record:
    """The record whose response counts officially: the last one with this prompt."""
    for id_ in reversed(record.truth["same_prompt"]):
        if id_ == record.id:
            break
        found = records.load(record.path.parent / id_)
        if isinstance(found, Record):
            return found
    return record


@dataclass(frozen=True)
class IFEval(VoiceBench):
    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        row = record.truth["row"]
        own = response(record, ears)
        counted = response(_answering(record), ears)
        try:
            asked = row["instruction_id_list"], row["kwargs"]
            strict, loose, own_strict, own_loose = (
                sum(ifeval.followed(text, *asked, loose=loosely))
                for text in (counted, own) for loosely in (False, True)
            )  # fmt: skip
        except KeyError as error:
            raise Unheard(f"{record.id}: the row has no {error}") from None
        except (ifeval.Unreadable, TypeError, AttributeError) as error:
            raise Unheard(f"{record.id}: {error}") from None
        return {
            "instructions": len(asked[0]), "strict": strict, "loose": loose,
            "own_strict": own_strict, "own_loose": own_loose,
        }  # fmt: skip


def _percent(of: Callable[[Sequence[Row]], float | None], official: bool = True) -> Metric:
    return Metric(up=True, official=official, unit="%", of=of)


TASK = IFEval(
    about="spoken instructions that a program can check",
    folder="ifeval",
    evaluator="ifeval",
    metrics={
        "final": _percent(_final("strict", "loose")),
        "strict-prompt": _percent(_prompts("strict")),
        "strict-instruction": _percent(_each("strict")),
        "loose-prompt": _percent(_prompts("loose")),
        "loose-instruction": _percent(_each("loose")),
        "final_each": _percent(_final("own_strict", "own_loose"), official=False),
    },
    published=board("ifeval", "final"),
)
