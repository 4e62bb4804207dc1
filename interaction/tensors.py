"""Safetensors files larger than memory: many shards, read and written a piece at a time.

The format (a JSON header, then the tensors' bytes, back to back) is that of the
`safetensors` package, which reads what is written here. The package itself writes a file
only from tensors that are all in memory; here a tensor may be larger than that.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from interaction.errors import InputError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARD_BYTES = 5_000_000_000

DTYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
CODES = {dtype: code for code, dtype in DTYPES.items()}


class Entry(NamedTuple):
    """A tensor's dtype, as safetensors spells it, and shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


class TensorFiles:
    """The tensors of a directory: one file, or shards with an index."""

    def __init__(self, directory: Path) -> None:
        """Reads and checks every header; raises InputError naming the file or tensor
        that is missing, truncated or malformed."""
        self.entries: dict[str, Entry] = {}
        self.file_of: dict[str, str] = {}
        self._directory = directory
        self._at: dict[str, int] = {}
        index = directory / INDEX
        if index.is_file():
            listed = _read_index(index)
        elif (directory / SINGLE).is_file():
            listed = {}
        else:
            raise InputError(
                f"{directory}: neither {SINGLE} nor {INDEX}; name a checkpoint's directory"
            )
        for file in sorted(set(listed.values())) or [SINGLE]:
            if not (directory / file).is_file():
                raise InputError(f"{directory / file}: no such shard; download it again")
            self._add(file)
        for name, file in listed.items():
            if self.file_of.get(name) != file:
                raise InputError(
                    f"{index}: names {name} in {file}, which lacks it; download both again"
                )

    def _add(self, file: str) -> None:
        path = self._directory / file
        header, start, size = _read_header(path)
        spans = []
        for name, item in header.items():
            entry, first, last = _parse(path, name, item)
            if start + last > size:
                raise InputError(
                    f"{path}: truncated ({size} bytes) before the end of {name}; "
                    "download it again"
                )
            if name in self.entries:
                raise InputError(f"{path}: {name} is in {self.file_of[name]} too; drop one")
            self.entries[name] = entry
            self.file_of[name] = file
            self._at[name] = start + first
            spans.append((first, last, name))
        end = 0
        for first, last, name in sorted(spans):
            if first != end:
                raise InputError(f"{path}: a gap or overlap before {name}; replace it")
            end = last
        if start + end != size:
            raise InputError(f"{path}: {size - start - end} bytes too many; replace it")

    def read(self, name: str, index: Any = ...) -> np.ndarray:
        """A tensor, or the part of it that a numpy index picks: only that is read."""
        entry = self.entries[name]
        if not entry.nbytes:
            return np.zeros(entry.shape, DTYPES[entry.dtype])[index]
        whole = np.memmap(
            self._directory / self.file_of[name],
            DTYPES[entry.dtype],
            mode="r",
            offset=self._at[name],
            shape=entry.shape or (1,),
        )
        part = whole[index] if entry.shape else whole[0]
        return np.array(part, DTYPES[entry.dtype])  # a copy: the mapping ends here


def _read_index(path: Path) -> dict[str, str]:
    try:
        listed = json.loads(path.read_text())["weight_map"]
        listed = {str(name): str(file) for name, file in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} does not read ({error!r}); download it again") from None
    check_file_names(listed.values(), path)
    return listed


def check_file_names(files: Iterable[str], path: Path) -> None:
    """Shards lie beside what lists them: a name that leads elsewhere is refused."""
    for file in files:
        if Path(file).name != file or not file.endswith(".safetensors"):
            raise InputError(f"{path}: {file!r} is no name of a shard; mend the list")


def _read_header(path: Path) -> tuple[dict[str, Any], int, int]:
    """-> (tensors, where their bytes start, size of the file)."""
    try:
        total = path.stat().st_size
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if 8 + size > total:
                raise InputError(f"{path}: truncated in its header; download it again")
            header = json.loads(file.read(size))
        header.pop("__metadata__", None)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; make it readable") from None
    except (ValueError, AttributeError, TypeError):
        raise InputError(f"{path}: not a safetensors file; name another") from None
    return header, 8 + size, total


def _parse(path: Path, name: str, item: Any) -> tuple[Entry, int, int]:
    """One tensor of a header: its entry and the span of its bytes."""
    try:
        entry = Entry(item["dtype"], tuple(item["shape"]))
        first, last = item["data_offsets"]
        numbers = (*entry.shape, first, last)
        if not all(type(n) is int and n >= 0 for n in numbers):
            raise ValueError
        known = entry.dtype in DTYPES
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: bad header at {name}; download it again") from None
    if not known:
        raise InputError(
            f"{path}: {name} has dtype {entry.dtype}, which nothing here reads; use a "
            f"checkpoint in {', '.join(DTYPES)}"
        )
    if last - first != entry.nbytes:
        raise InputError(f"{path}: {name} has the wrong length; download it again")
    return entry, first, last


Shards = dict[str, dict[str, Entry]]  # file name -> its tensors


def plan_shards(entries: Mapping[str, Entry], limit: int = SHARD_BYTES) -> Shards:
    """Tensors to files of at most `limit` bytes (or one tensor), in the order given."""
    groups: list[dict[str, Entry]] = [{}]
    size = 0
    for name, entry in entries.items():
        if groups[-1] and size + entry.nbytes > limit:
            groups.append({})
            size = 0
        groups[-1][name] = entry
        size += entry.nbytes
    if len(groups) == 1:
        return {SINGLE: groups[0]}
    n = len(groups)
    return {f"model-{i + 1:05}-of-{n:05}.safetensors": g for i, g in enumerate(groups)}


class ShardWriter:
    """Files of known tensors, each filled in any order and any number of pieces."""

    def __init__(self, directory: Path, shards: Shards) -> None:
        """Creates the files at full size, headers and zeros; files that are there
        already, with the same header and size, keep what has been written to them
        (`kept` says whether all were)."""
        self._at: dict[str, tuple[int, int]] = {}
        self._entries: dict[str, Entry] = {}
        self._shards = shards
        self._directory = directory
        self._files: list[int] = []
        self.kept = True
        for file, tensors in shards.items():
            self._create(file, tensors)

    def _create(self, file: str, tensors: Mapping[str, Entry]) -> None:
        order = sorted(tensors, key=lambda n: -DTYPES[tensors[n].dtype].itemsize)
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        end = 0
        for name in order:
            entry = tensors[name]
            offsets = [end, end + entry.nbytes]
            header[name] = {
                "dtype": entry.dtype, "shape": entry.shape, "data_offsets": offsets
            }  # fmt: skip
            end = offsets[1]
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        head = len(text).to_bytes(8, "little") + text
        fd = os.open(self._directory / file, os.O_RDWR | os.O_CREAT, 0o644)
        self._files.append(fd)
        size = os.fstat(fd).st_size
        if size != len(head) + end or os.pread(fd, len(head), 0) != head:
            self.kept = False
            os.ftruncate(fd, 0)
            os.ftruncate(fd, len(head) + end)
            os.pwrite(fd, head, 0)
        for name in order:
            at = len(head) + header[name]["data_offsets"][0]
            self._at[name] = (len(self._files) - 1, at)
            self._entries[name] = tensors[name]

    def write(self, name: str, rows: np.ndarray, first: int = 0) -> None:
        """`rows` of a tensor, from row `first` of its leading axis on."""
        entry = self._entries[name]
        if rows.dtype != DTYPES[entry.dtype] or rows.shape[1:] != entry.shape[1:]:
            raise ValueError(f"{name}: {rows.dtype}{rows.shape} into {entry}")
        file, at = self._at[name]
        row_bytes = entry.nbytes // max(entry.shape[0], 1) if entry.shape else 0
        data = np.ascontiguousarray(rows).view(np.uint8).reshape(-1).data
        at += first * row_bytes
        while data:
            written = os.pwrite(self._files[file], data, at)
            data, at = data[written:], at + written

    def flush(self) -> None:
        """Until this returns, a power failure may lose what was written."""
        for fd in self._files:
            os.fdatasync(fd)

    def close(self) -> None:
        """Close the files and write their index, unless it is the one plain file."""
        for fd in self._files:
            os.close(fd)
        self._files = []
        if set(self._shards) != {SINGLE}:
            names = {n: file for file, tensors in self._shards.items() for n in tensors}
            size = sum(entry.nbytes for entry in self._entries.values())
            text = {"metadata": {"total_size": size}, "weight_map": names}
            (self._directory / INDEX).write_text(json.dumps(text, indent=1) + "\n")
