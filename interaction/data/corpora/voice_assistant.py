"""VoiceAssistant-400K (gpt-omni): spoken questions with written answers.

Parquet files, in `data/train-*.parquet`, with the columns

    question, question_audio {bytes, path}, answer      used
    split_name, index, round, answer_snac               not used

There is no recording of the answers, only codes of another system's vocabulary
(answer_snac). So the agent's side is spoken anew, by espeak-ng in the agent's voice, from
the written answer, with exact word times. The question's word times are spread by letters
over its sound. Each row is a conversation of its own, whatever its `round` says.

Layout: https://huggingface.co/datasets/gpt-omni/VoiceAssistant-400K (dataset card).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from interaction.data.corpora.audio import read_mono, trim
from interaction.data.corpora.conversation import (
    Conversation,
    Item,
    Said,
    Source,
    Track,
    spread,
)
from interaction.data.corpora.textfile import files, get
from interaction.data.dialogue import Word
from interaction.data.espeak import speak
from interaction.data.voices import AGENT_VOICE
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE, TURN_SAMPLES

REPLY_S = 0.4  # at the least, from the question's end to the answer's first sound
_BREATH_S = 0.3  # between the answer's sentences
_PEAK = 0.5  # of the answer's sound
COLUMNS = ["question", "question_audio", "answer"]


def read(src: Path) -> Source:
    """Rows in the order of the files' names."""
    paths = files(src, ".parquet")
    return Source(sum(_open(path).metadata.num_rows for path in paths), _items(paths))


def _open(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError("parquet files need pyarrow; pip install pyarrow") from None
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: is no whole parquet file ({error})") from None
    missing = set(COLUMNS) - set(file.schema_arrow.names)
    if missing:
        raise InputError(f"{path}: has no column {', '.join(sorted(missing))}")
    return file


def _items(paths: list[Path]) -> Iterator[Item]:
    for path in paths:
        metadata, at = _open(path).metadata, 0
        for group in range(metadata.num_row_groups):
            for row in range(metadata.row_group(group).num_rows):
                yield Item(f"{path.name}:{at}", partial(_load, path, group, row, at))
                at += 1


@functools.lru_cache(maxsize=1)
def _group(path: Path, group: int) -> Any:
    """A row group's table: rows are asked for in order, so one is held."""
    return _open(path).read_row_group(group, columns=COLUMNS)


def _load(path: Path, group: int, row: int, at: int) -> Conversation:
    held = _group(path, group).slice(row, 1).to_pylist()[0]
    place = f"{path}: row {at}"
    texts = get(held, "question", str, place).split()
    sentences = _sentences(get(held, "answer", str, place))
    data = get(get(held, "question_audio", dict, place), "bytes", bytes, place)
    if not texts or not sentences:
        raise InputError(f"{place}: question or answer has no words; leave it out")
    wave = read_mono(Track(Path(place), data=data))
    t0, t1 = trim(wave)
    asked = Said(0, spread(texts, t0, t1), t0, t1, guessed=True)
    turns = -(-round((t1 + REPLY_S) * SAMPLE_RATE) // TURN_SAMPLES)
    answer, said = _answer(sentences, turns * TURN_SAMPLES)
    length = max(len(wave), len(answer))
    tracks = (
        Track(path, wave=np.pad(wave, (0, length - len(wave)))),
        Track(path, wave=answer),
    )
    name = f"{path.stem}-{at}"
    return Conversation(name, tracks, (asked, *said), ("question", "answer"), agent=1)


def _sentences(text: str) -> list[list[str]]:
    """Words, without punctuation but apostrophes and hyphens, by sentence."""
    parts = (re.findall(r"\w[\w'’-]*", part) for part in re.split(r"[.!?;:\n]+", text))
    return [words for words in parts if words]


def _answer(sentences: list[list[str]], start: int) -> tuple[np.ndarray, list[Said]]:
    waves, said, at = [np.zeros(start, np.float32)], [], start
    for words in sentences:
        spoken = speak([word.lower() for word in words], AGENT_VOICE)
        t = at / SAMPLE_RATE
        timed = tuple(
            Word(text, t + w.t0, t + max(w.t0, w.t1))
            for text, w in zip(words, spoken.words, strict=True)
        )
        said.append(Said(1, timed, t, t + spoken.seconds))
        gap = np.zeros(round(_BREATH_S * SAMPLE_RATE), np.float32)
        waves += [spoken.wave * (_PEAK / np.abs(spoken.wave).max()), gap]
        at += len(spoken.wave) + len(gap)
    return np.concatenate(waves), said
