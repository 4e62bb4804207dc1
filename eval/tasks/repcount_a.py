"""RepCount-A: count the repetitions of an exercise out loud while they are done.

    DATA/annotation/test.csv          name, type, count, L1, L2, ...: frames in which a
                                      repetition begins and ends, in pairs
         video/test/NAME              mp4

From svip-lab.github.io/dataset/RepCount_dataset.html (arXiv 2204.01018). What a system has
counted to is the last number that it says behind the last repetition but one.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.ears import Ears
from eval.footage import Facts
from eval.formulas.repetition import off_by_one, relative_error
from eval.judge import Judge
from eval.layouts.fields import noted, unknown
from eval.record import Record
from eval.sample import Fault, Sample
from eval.screening import screening, video
from eval.spoken_numbers import numbers
from eval.task import Asked, Metric, Row
from interaction.data.scenes.errand import spelled
from interaction.errors import InputError

MARK = re.compile(r"L\d+")
QUESTION = "count out the repetitions of {}"


@dataclass(frozen=True)
class RepCountA:
    about: str = "repetitions of an exercise counted aloud; off by one at most, error"
    version: int = 1
    synthetic: bool = False

    metrics = {
        "obo": Metric(up=True, official=True, hears=True,
                             about="at most one off; wrong where no number is said"),
        "mae": Metric(up=False, official=True, hears=True,
                      about="error over the true count; no number counts as 0"),
        "exact": Metric(up=True, hears=True, about="the true count"),
        "counted": Metric(up=True, hears=True, about="said a number when it mattered"),
    }  # fmt: skip
    published = {
        "TML-interaction-small": {"obo": 0.354},
        "GPT-Realtime-2, minimal": {"obo": 0.013},
        "TransRAC": {"obo": 0.29, "mae": 0.44},
    }
    source = (
        "Thinking Machines Lab on interaction models, by a translation; TransRAC: "
        "arXiv 2204.01018, which sees the whole video"
    )

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        if asked.data is None:
            raise InputError("--data=DIR is missing: where RepCount-A is")
        file = asked.data / "annotation" / "test.csv"
        videos = asked.data / "video" / "test"
        if not videos.is_dir():
            raise InputError(f"{videos}: no such directory; unpack the test videos there")
        try:
            lines = list(csv.DictReader(file.open(newline="", encoding="utf-8-sig")))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file}: {error}; download RepCount-A's annotation") from None
        for number, line in enumerate(lines, 2):
            yield _of(line, number, videos)

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        count, behind = record.truth["count"], record.truth["behind"]
        begin = record.truth["begin"]
        said = numbers([w for w in ears.words(record) if w.t0 - begin >= behind])
        last = said[-1] if said else None
        return {
            "obo": 0.0 if last is None else float(off_by_one(last, count)),
            "mae": relative_error(last or 0, count),
            "exact": float(last == count),
            "counted": float(last is not None),
        }

    def known(self, agent: str, sample: Sample) -> Row | None:
        if agent not in ("silent", "parrot"):
            return None
        none = relative_error(0, sample.truth["count"])
        return {"obo": 0, "mae": none, "exact": 0, "counted": 0}


def _of(line: Mapping[str, Any], number: int, videos: Path) -> Sample | Fault:
    name = (line.get("name") or "").strip()
    id_ = Path(name).stem or f"line-{number:05}"
    try:
        kind = line["type"].strip().replace("_", " ")
        marks = [key for key in line if key and MARK.fullmatch(key)]
        listed = [line[key] for key in marks if line[key]]
        frames = [round(float(value)) for value in listed]
        count = round(float(line["count"]))
    except (KeyError, ValueError, AttributeError) as error:
        return Fault(id_, f"line {number} of test.csv does not read ({error})")
    if not name or len(frames) % 2:
        return Fault(
            id_, f"line {number} of test.csv: no name, or a repetition without end"
        )
    cycles = len(frames) // 2
    if cycles != count:
        return Fault(id_, f"says {count} repetitions and marks {cycles}")

    def truth(found: Facts) -> Mapping[str, Any]:
        ends = [frame / found.rate for frame in frames[1::2]]
        return {
            "count": count,
            "behind": round(ends[-2], 3) if count > 1 else 0.0,
            "ends": [round(end, 3) for end in ends],
        }

    def ideal(told: Mapping[str, Any]) -> Iterator[tuple[float, str]]:
        for n, end in enumerate(told["ends"], 1):
            yield end, " ".join(spelled(n)) if n < 100 else str(n)

    made = screening(id_, QUESTION.format(kind), video(videos, name), truth, ideal)
    return noted(made, unknown("", line, ("name", "type", "count", *marks)))


TASK = RepCountA()
