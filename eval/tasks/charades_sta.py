"""Charades-STA: say "start" when what a sentence tells begins, and "stop" when it ends.

    DATA/charades_sta_test.txt        "AO8RW 0.0 6.9##a person puts a book on a shelf."
         Charades_v1_480/AO8RW.mp4

From github.com/jiyanggao/TALL (arXiv 1705.02101).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eval import localised
from eval.ears import Ears
from eval.judge import Judge
from eval.record import Record
from eval.sample import Fault, Sample
from eval.task import Asked, Published, Row
from interaction.errors import InputError

FILE = "charades_sta_test.txt"
LINE = re.compile(r"(\S+) (\S+) (\S+)\s*##(.*\S)")
QUESTION = "say start when this begins and stop when it ends {}"


@dataclass(frozen=True)
class CharadesSTA(Published):
    about: str = "when what a sentence describes begins and ends; temporal IoU"
    version: int = 1
    synthetic: bool = False

    metrics = localised.METRICS

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        if asked.data is None:
            raise InputError("--data=DIR is missing: where Charades-STA is")
        videos = localised.folder(asked.data)
        for number, line in enumerate(_lines(asked.data / FILE), 1):
            if line.strip():
                yield _of(line.strip(), number, videos)

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        return localised.measure(record, ears)

    def known(self, agent: str, sample: Sample) -> Row | None:
        return localised.known(agent)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: {error}; download Charades-STA's annotation") from None


def _of(line: str, number: int, videos: Path) -> Sample | Fault:
    found = LINE.fullmatch(line)
    if found is None:
        return Fault(f"line-{number:05}", f"not 'video start end##sentence': {line[:80]}")
    name, start, stop, sentence = found.groups()
    id_ = f"{name}-{number:05}"  # a video has several sentences, and some come twice
    try:
        interval = float(start), float(stop)
    except ValueError:
        return Fault(id_, f"times {start!r} and {stop!r} are no numbers")
    return localised.sample(id_, videos, name, QUESTION.format(sentence), interval)


TASK = CharadesSTA()
