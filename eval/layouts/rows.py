"""Rows of a data set with sound in them, as a download from Hugging Face lies on disk.

    FOLDER/*.parquet    a sound is a column of {bytes, path}
    FOLDER/*.jsonl      a sound is a file's path, from the folder of the .jsonl

Rows are in the order of the files' names. One that cannot be read is a Fault; where there
are no files at all there is an InputError.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.sample import Fault
from interaction.errors import InputError
from interaction.modality.files import read_audio


@dataclass(frozen=True, eq=False)
class Found:
    """One row. fields: all of it that is no sound; sounds: column -> what is there; place:
    file and row, for messages."""

    place: str
    fields: dict[str, Any]
    sounds: dict[str, Any]
    folder: Path

    def text(self, column: str) -> str:
        """Raises InputError where the column is missing or holds no text."""
        value = self.fields.get(column)
        if not isinstance(value, str) or not value.strip():
            found = "missing" if column not in self.fields else repr(value)[:60]
            raise InputError(f"{self.place}: {column} is {found}; it must be text")
        return value

    def sound(self, *columns: str) -> np.ndarray:
        """float32 [N], mono, 16 kHz, of the first of the columns that is there. Raises
        InputError where there is none, or it is cut short."""
        there = [c for c in columns if self.sounds.get(c) is not None]
        column = there[0] if there else columns[0]
        cell = self.sounds.get(column)
        if isinstance(cell, str):
            return read_audio(_inside(self.folder, cell, self.place))
        if isinstance(cell, dict) and isinstance(cell.get("bytes"), bytes):
            return _decoded(cell["bytes"], f"{self.place}: {column}")
        if isinstance(cell, dict) and isinstance(cell.get("path"), str):
            return read_audio(_inside(self.folder, cell["path"], self.place))
        raise InputError(f"{self.place}: no sound in {column}; download the row again")


def _inside(folder: Path, name: str, place: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{place}: {name!r} is outside {folder}; use paths inside it")
    return path


def _decoded(data: bytes, place: str) -> np.ndarray:
    with tempfile.NamedTemporaryFile(suffix=".sound") as file:
        file.write(data)
        file.flush()
        try:
            return read_audio(file.name)
        except InputError as error:
            raise InputError(str(error).replace(file.name, place)) from None


def rows(
    folder: Path, sounds: Sequence[str], deaf: bool = False
) -> Iterator[Found | Fault]:
    """sounds: columns that hold sound; those that a row lacks are not missed here. deaf:
    sound is not read, which is most of the reading."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; download the data set into it")
    files = sorted([*folder.glob("*.parquet"), *folder.glob("*.jsonl")])
    if not files:
        raise InputError(f"{folder}: no .parquet and no .jsonl; download the data set")
    for file in files:
        leave = tuple(sounds) if deaf else ()
        table = file.suffix == ".parquet"
        for place, row in _parquet(file, leave) if table else _lines(file):
            if isinstance(row, str):
                yield Fault(place, row)
                continue
            fields = {k: v for k, v in row.items() if k not in sounds}
            fields = json.loads(json.dumps(fields, default=str))  # dates, and the like
            yield Found(place, fields, {k: row[k] for k in sounds if k in row}, folder)


def _lines(file: Path) -> Iterator[tuple[str, dict[str, Any] | str]]:
    for i, line in enumerate(file.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        place = f"{file}:{i}"
        try:
            row = json.loads(line)
        except ValueError as error:
            yield place, f"{place}: no JSON ({error})"
            continue
        yield place, row if isinstance(row, dict) else f"{place}: no JSON object"


def _parquet(
    file: Path, leave: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any] | str]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError("parquet files need pyarrow; pip install pyarrow") from None
    i = 0
    try:
        table = pyarrow.parquet.ParquetFile(file)
        columns = [name for name in table.schema_arrow.names if name not in leave]
        for batch in table.iter_batches(batch_size=16, columns=columns):
            for row in batch.to_pylist():
                i += 1
                yield f"{file}: row {i}", row
    except (OSError, pyarrow.ArrowException) as error:
        why = " ".join(str(error).split())[:200]
        yield f"{file}: row {i + 1}", f"{file}: cannot be read from row {i + 1} on ({why})"
