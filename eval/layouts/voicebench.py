"""VoiceBench (arXiv 2410.17196, Apache-2.0): hlt-lab/voicebench from Hugging Face.

    DATA/SUBSET/*.parquet     columns audio {bytes, path}, prompt, and
                              ifeval: key, instruction_id_list, kwargs
                              bbh: id, reference; mmsu, openbookqa, sd-qa: reference
    DATA/SUBSET/*.jsonl       the same, with `audio` a file's path

Sound of any rate becomes 16 kHz mono, as the official `main.py` casts it. mmsu and sd-qa
have several splits (domains, regions); all of the folder are read, in order of names. A
row goes into the truth whole but for its sound: fields beside those above are kept, since
the official inference file keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from eval import spoken
from eval.layouts.rows import Found, rows
from eval.sample import Fault, Sample
from interaction.errors import InputError

KNOWN = ("audio", "prompt", "key", "instruction_id_list", "kwargs", "id", "reference")


def samples(
    data: Path | None, subset: str, needs: Sequence[str] = ()
) -> Iterator[Sample | Fault]:
    """needs: columns of text beside `prompt`. Rows with one prompt share an answer in
    official figures, the last one's; each such sample names them all."""
    if data is None:
        raise InputError(
            "--data: missing; give the directory of hlt-lab/voicebench, with "
            f"{subset}/*.parquet in it"
        )
    same: dict[str, list[str]] = {}
    for i, row in enumerate(rows(data / subset, ("audio",), deaf=True)):
        if isinstance(row, Found) and isinstance(row.fields.get("prompt"), str):
            same.setdefault(row.fields["prompt"], []).append(f"{subset}-{i:05}")

    def make(id_: str, row: Found) -> Sample:
        prompt = row.text("prompt")
        for column in needs:
            row.text(column)
        truth = {"row": row.fields, "same_prompt": same[prompt]}
        return spoken.question(id_, row.sound("audio"), prompt, truth)

    yield from spoken.samples(rows(data / subset, ("audio",)), subset, make, KNOWN)
