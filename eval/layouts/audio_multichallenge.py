"""Audio MultiChallenge (MIT): ScaleAI/audiomc from Hugging Face.

    DATA/*.parquet or DATA/data/*.parquet    (or .jsonl, sounds by path)
    DATA/README.md                           the card, with the judge's prompt

columns: id, axis, user_turn_{1-8}_audio, user_turn_{1-8}_transcript,
assistant_turn_{1-7}_transcript, rubric. `rubric` is text: JSON, a list of items, each a
text or an object with one under "rubric", "criterion", "criteria" or "text".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from eval import spoken
from eval.layouts.prompts import fenced
from eval.layouts.rows import Found, rows
from eval.sample import Fault, Sample, Span, whole_turns
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE

TURNS = 8
SOUNDS = tuple(f"user_turn_{i}_audio" for i in range(1, TURNS + 1))
TRANSCRIPTS = tuple(f"{name.removesuffix('_audio')}_transcript" for name in SOUNDS)
KNOWN = ("id", "axis", "rubric", *SOUNDS, *TRANSCRIPTS,
         *(f"assistant_turn_{i}_transcript" for i in range(1, TURNS)))  # fmt: skip
ITEM = ("rubric", "criterion", "criteria", "text")
MARK = "«rubric_item»"


def items(rubric: Any, place: str) -> list[str]:
    """Raises InputError where the rubric is of another form."""
    try:
        found = json.loads(rubric) if isinstance(rubric, str) else rubric
    except ValueError:
        raise InputError(f"{place}: rubric is no JSON; it must be a list") from None
    texts = []
    for item in found if isinstance(found, list) else ():
        if isinstance(item, dict):
            item = next((item[k] for k in ITEM if k in item), None)
        if not isinstance(item, str) or not item.strip():
            raise InputError(f"{place}: rubric has an item without text")
        texts.append(item)
    if not texts:
        raise InputError(f"{place}: rubric has no items; it must be a list of them")
    return texts


def samples(data: Path | None) -> Iterator[Sample | Fault]:
    """Each user turn, then room for an answer, in one conversation."""
    if data is None:
        raise InputError("--data: missing; give the directory of ScaleAI/audiomc")
    folder = data / "data" if (data / "data").is_dir() else data
    prompt = fenced(data / "README.md", MARK)

    def make(id_: str, row: Found) -> Sample:
        truth = {
            "axis": row.text("axis"),
            "rubric": items(row.fields.get("rubric"), row.place),
            "judge": prompt,
            "row": row.fields,
        }
        parts: list[np.ndarray] = []
        user: list[Span] = []
        t = 0.0
        for i, column in enumerate(SOUNDS, 1):
            if row.sounds.get(column) is None:
                break
            wave = row.sound(column)
            end = t + len(wave) / SAMPLE_RATE
            user.append(Span(row.text(f"user_turn_{i}_transcript"), t, end))
            parts.append(whole_turns(wave, len(wave) / SAMPLE_RATE + spoken.TAIL_S))
            t += len(parts[-1]) / SAMPLE_RATE
        if not parts:
            raise InputError(f"{row.place}: no sound in {SOUNDS[0]}; download it again")
        return Sample(id_, np.concatenate(parts), tuple(user), truth=truth)

    yield from spoken.samples(rows(folder, SOUNDS), "audiomc", make, KNOWN)
