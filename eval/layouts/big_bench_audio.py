"""Big Bench Audio (MIT): ArtificialAnalysis/big_bench_audio from Hugging Face.

    DATA/metadata.jsonl      {"file_name": "data/question_0.mp3", "category", "id",
    DATA/data/*.mp3           "official_answer"}
    DATA/*.parquet, DATA/data/*.parquet    the same, with `audio` {bytes, path}

category: formal_fallacies (valid, invalid), navigate and web_of_lies (yes, no),
object_counting (a number).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eval import spoken
from eval.formulas.closed_answer import KINDS
from eval.layouts.rows import Found, rows
from eval.sample import Fault, Sample
from interaction.errors import InputError

SOUND = ("audio", "file_name")
KNOWN = (*SOUND, "category", "official_answer", "id")


def samples(data: Path | None) -> Iterator[Sample | Fault]:
    if data is None:
        raise InputError(
            "--data: missing; give the directory of ArtificialAnalysis/big_bench_audio"
        )
    inside = data / "data"
    tables = not list(data.glob("*.jsonl")) and not list(data.glob("*.parquet"))
    folder = inside if tables and inside.is_dir() else data

    def make(id_: str, row: Found) -> Sample:
        category = row.text("category").lower().replace(" ", "_")
        if category not in KINDS:
            raise InputError(
                f"{row.place}: category is {category!r}; known are {', '.join(KINDS)}"
            )
        answer = row.fields.get("official_answer")
        answer = str(answer) if isinstance(answer, int) else row.text("official_answer")
        truth = {"category": category, "answer": answer, "row": row.fields}
        return spoken.question(id_, row.sound(*SOUND), "", truth)

    yield from spoken.samples(rows(folder, SOUND), "bba", make, KNOWN)
