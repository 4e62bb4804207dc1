"""Text files of corpora, with errors that name file and line."""

from __future__ import annotations

import gzip
import json
import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interaction.errors import InputError


def read_text(path: Path) -> str:
    """Raises InputError for a missing or empty file, or one that is not UTF-8."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}: is not UTF-8 text; convert it (iconv)") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); copy it") from None
    if not text.strip():
        raise InputError(f"{path}: the file is empty; copy it again")
    return text


def raw_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number, line) of what is not blank in a text file, gzipped if it ends in .gz."""
    opened = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line
    except UnicodeDecodeError:
        raise InputError(f"{path}:{number + 1}: is not UTF-8 text; convert it") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}:{number + 1}: cannot be read ({error})") from None


def read_lines(path: Path) -> Iterator[tuple[int, dict]]:
    """(number, object) of a JSON-lines file."""
    for number, line in raw_lines(path):
        yield number, parse_object(line, f"{path}:{number}")


def parse_object(text: str, place: str) -> dict:
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{place}: is not JSON ({error}); copy it again") from None
    if not isinstance(value, dict):
        raise InputError(f"{place}: is no JSON object; copy it again")
    return value


def get(holder: Any, key: str, kind: type | tuple[type, ...], place: str) -> Any:
    """A field of a parsed object. Raises InputError if it is missing or another type."""
    value = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(f"{place}: {key} is {value!r}, not of the corpus's layout")
    return value


def seconds(value: Any, place: str) -> float:
    """A time. Raises InputError unless it is a number from 0 on."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number) or number < 0:
        raise InputError(f"{place}: {value!r} is no time in seconds; mend it")
    return number


def files(src: Path, *endings: str) -> list[Path]:
    """Files below `src` with one of the endings, sorted; hidden ones left out. Linked
    directories are entered."""
    found = [
        Path(folder) / name
        for folder, _, names in os.walk(src, followlinks=True)
        for name in names
        if name.endswith(endings) and not name.startswith(".")
    ]
    return sorted(found)


def beside(manifest: Path, name: str) -> Path:
    """The file that a manifest names: absolute, or relative to the manifest's directory
    or to one above it (tools write names relative to where they ran)."""
    for base in manifest.absolute().parents:
        if (base / name).is_file():
            return base / name
    raise InputError(f"{manifest}: names {name}, which is not there; copy it beside")
