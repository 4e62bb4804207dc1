"""Charades: say "start" when a person starts to do something, and "stop" when they stop.

    DATA/Charades_v1_test.csv         id, ..., actions ("c092 11.90 21.20;c147 0.00 12.60")
         Charades_v1_classes.txt      "c092 Opening a refrigerator" a line
         Charades_v1_480/ID.mp4

From prior.allenai.org/projects/charades. An action that comes twice in its video is not
asked for, since the question would have two answers.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eval import localised
from eval.ears import Ears
from eval.judge import Judge
from eval.layouts.fields import noted, unknown
from eval.record import Record
from eval.sample import Fault, Sample
from eval.task import Asked, Row
from interaction.errors import InputError

COLUMNS = ("id", "subject", "scene", "quality", "relevance", "verified", "script",
           "objects", "descriptions", "actions", "length")  # fmt: skip
QUESTION = "say start when the person starts {} and say stop when they stop"
SUBJECT = "someone is "  # some classes are sentences, the others begin with their verb


@dataclass(frozen=True)
class Charades:
    about: str = "when an action in a video starts and stops; temporal IoU"
    version: int = 1
    synthetic: bool = False

    metrics = localised.METRICS
    published = {
        "TML-interaction-small": {"iou": 0.324},
        "GPT-Realtime-2, minimal": {"iou": 0.0},
    }
    source = "Thinking Machines Lab on interaction models, by a translation"

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        data = asked.data or _missing("--data=DIR", "where Charades is")
        videos, actions = localised.folder(data), classes(data / "Charades_v1_classes.txt")
        with _open(data / "Charades_v1_test.csv") as file:
            for number, line in enumerate(csv.DictReader(file), 2):
                yield from _of(line, number, videos, actions)

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        return localised.measure(record, ears)

    def known(self, agent: str, sample: Sample) -> Row | None:
        return localised.known(agent)


def _missing(what: str, why: str) -> Path:
    raise InputError(f"{what} is missing: {why}")


def _open(file: Path):
    try:
        return file.open(newline="", encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"{file}: {error.strerror}; download Charades' annotation"
        ) from None


def classes(file: Path) -> dict[str, str]:
    """Class -> what is asked for."""
    with _open(file) as lines:
        pairs = (line.strip().partition(" ") for line in lines if line.strip())
        named = {key: text.lower() for key, _, text in pairs}
    return {key: text.removeprefix(SUBJECT) for key, text in named.items()}


def _of(
    line: dict[str, str], number: int, videos: Path, actions: dict[str, str]
) -> Iterator[Sample | Fault]:
    name, listed = line.get("id") or "", line.get("actions")
    if not name or listed is None:
        yield Fault(f"line-{number:05}", "no id or no actions")
        return
    marks = [mark.split() for mark in listed.split(";") if mark.strip()]
    often = Counter(mark[0] for mark in marks)
    for mark in marks:
        if often[mark[0]] > 1:
            continue
        id_ = f"{name}-{mark[0]}"
        try:
            key, start, stop = mark
            interval = float(start), float(stop)
        except ValueError:
            yield Fault(id_, f"action {' '.join(mark)!r} is not a class and two times")
            continue
        if key not in actions:
            yield Fault(id_, f"no class {key!r} in Charades_v1_classes.txt")
            continue
        question = QUESTION.format(actions[key])
        made = localised.sample(id_, videos, name, question, interval)
        yield noted(made, unknown("", line, COLUMNS))


TASK = Charades()
