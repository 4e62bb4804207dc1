"""A question, spoken, and room for its answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from eval.ears import Ears
from eval.layouts.fields import noted, unknown
from eval.layouts.rows import Found
from eval.record import Record
from eval.sample import Fault, Sample, Span, whole_turns
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE

TAIL_S = 20.0  # of silence behind a question: an answer that takes longer is cut off


def question(id_: str, wave: np.ndarray, text: str, truth: Mapping[str, Any]) -> Sample:
    """The sound, then `TAIL_S` of silence."""
    end = len(wave) / SAMPLE_RATE
    user = (Span(text, 0.0, end),)
    return Sample(id_, whole_turns(wave, end + TAIL_S), user, truth=dict(truth))


def samples(
    found: Iterable[Found | Fault], prefix: str, make: Callable[[str, Found], Sample],
    known: Collection[str],
) -> Iterator[Sample | Fault]:  # fmt: skip
    """Named PREFIX-00000 and so on; what `make` refuses by InputError is a Fault. known:
    all columns that rows should have."""
    for i, row in enumerate(found):
        id_ = f"{prefix}-{i:05}"
        if isinstance(row, Fault):
            yield Fault(id_, row.why)
            continue
        try:
            names = unknown("", [*row.fields, *row.sounds], known)
            yield noted(make(id_, row), names)
        except InputError as error:
            yield Fault(id_, str(error))


def response(record: Record, ears: Ears) -> str:
    """What the system answered: its own text where that is what words come from, line
    breaks and all; else the words that were heard."""
    if ears.own:
        return "".join(text for _, text in record.text).strip()
    return " ".join(word.text for word in ears.words(record))
