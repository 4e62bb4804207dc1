"""QIVD (arXiv 2503.19356): Qualcomm-AI-Research/QIVD from Hugging Face.

    DATA/metadata.parquet (or another .parquet, or .jsonl)    a row a clip
    DATA/...                                                  the clips, by their paths

The names of its columns could not be verified. Here they are id, video, question, answer;
where the data has others, say so: --columns=video=file,answer=short_answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from eval import spoken
from eval.layouts.rows import Found, rows
from eval.sample import TURN_S, Fault, Sample, Span, whole_turns
from interaction.data.corpora.audio import soundtrack
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE
from interaction.modality.video import turn_pairs

COLUMNS = ("id", "video", "question", "answer")
SIZE = (240, 320)  # of a frame that is kept; systems make it smaller still


def samples(data: Path | None, columns: Mapping[str, str]) -> Iterator[Sample | Fault]:
    """The clip from its start, its question in its own sound, then silence."""
    if data is None:
        raise InputError("--data: missing; give the directory of QIVD")
    if wrong := sorted(set(columns) - set(COLUMNS)):
        raise InputError(f"--columns: no {wrong[0]!r}; there are {', '.join(COLUMNS)}")
    names = {name: columns.get(name, name) for name in COLUMNS}
    checked = False

    def make(id_: str, row: Found) -> Sample:
        video = data / row.text(names["video"])
        if not video.resolve().is_relative_to(data.resolve()):
            raise InputError(f"{row.place}: {video} is outside {data}")
        truth = {k: row.text(names[k]) for k in ("question", "answer")}
        wave = soundtrack(video)
        end = len(wave) / SAMPLE_RATE
        pairs = list(turn_pairs(video, size=SIZE))
        frames = tuple(
            (round(k * TURN_S, 3), pair) for k, pair in enumerate(pairs) if pair is not None
        )
        end = max(end, len(pairs) * TURN_S)
        return Sample(
            id_, whole_turns(wave, end + spoken.TAIL_S),
            (Span(truth["question"], 0.0, end),), frames,
            truth=truth | {"id": str(row.fields.get(names["id"], ""))},
        )  # fmt: skip

    def every() -> Iterator[Found | Fault]:
        nonlocal checked
        for row in rows(data, ()):
            if isinstance(row, Found) and not checked:
                checked = True
                lacks = [n for n in names.values() if n not in row.fields]
                if lacks:
                    raise InputError(
                        f"{row.place}: no column {lacks[0]!r}; it has "
                        f"{', '.join(row.fields)}: map one by --columns=OURS=THEIRS"
                    )
            yield row

    yield from spoken.samples(every(), "qivd", make, names.values())
