"""Inkling checkpoints in and out, a piece of a tensor at a time.

Everything is checked before anything is written. What is under way lies beside the
destination as `NAME.partial` and becomes it by one rename; a run that was cut off goes on
from the tensors that it had finished.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.interop.inkling import Entry, entries, is_mtp, rows, stays_float32
from interaction.interop.inkling_config import check_architecture, model_config
from interaction.package import ASSETS, read_json
from interaction.params import initialise
from interaction.tensors import (
    DTYPES,
    Shards,
    ShardWriter,
    TensorFiles,
    plan_shards,
)
from interaction.tensors import Entry as Stored
from interaction.weights import specs_on_disk

SOURCE = "source"  # what an imported model came with, inside its directory
RECORD = "tensors.json"  # in it: the files and tensors that an export makes again
PIECE_BYTES = 128 << 20
_LEFT = (".safetensors", ".safetensors.index.json", ".bin", ".pt", ".gguf", ".partial")

Tell = Callable[[str, int], None]  # tensor under way, bytes moved since the last call


class Report(NamedTuple):
    """What a transfer did: tensors by name."""

    used: list[str]
    ignored: dict[str, str]  # name -> reason
    fresh: list[str]
    moved_bytes: int


def total_bytes(directory: Path) -> int:
    """Bytes of all tensors of a checkpoint, as its headers say."""
    return sum(entry.nbytes for entry in TensorFiles(directory).entries.values())


def source_shape(entry: Entry, specs: Mapping[str, Any]) -> tuple[int, ...]:
    return entry.form.shape(*(specs[name].shape for name in entry.ours))


def _match(files: TensorFiles, cfg: ModelConfig, path: Path) -> tuple[list, dict]:
    """-> (entries of this checkpoint, what is ignored and why). Raises InputError."""
    specs, have = specs_on_disk(cfg), files.entries
    wanted = entries(cfg, have)
    for entry in wanted:
        if entry.source not in have:
            raise InputError(f"{path}: lacks {entry.source}; download the checkpoint again")
        shape, found = source_shape(entry, specs), have[entry.source]
        unpadded = entry.ours == ("unembed",) and found.shape == (
            cfg.vocab_used, cfg.width
        )  # fmt: skip
        if found.shape != shape and not unpadded:
            raise InputError(
                f"{path}: {entry.source} is {list(found.shape)}, config.json says "
                f"{list(shape)}; use the config.json that belongs to it"
            )
        main = "BF16" if cfg.dtype == "bfloat16" else "F32"
        allowed = {main, "F32"} if stays_float32(entry.source) else {main}
        if found.dtype not in allowed:
            raise InputError(
                f"{path}: {entry.source} is {found.dtype}, config.json says {main}; "
                "use weights of one dtype"
            )
    ignored = {
        name: "multi-token prediction is not part of this model"
        for name in have.keys() - {entry.source for entry in wanted}
        if is_mtp(name)
    }
    extra = sorted(have.keys() - ignored.keys() - {entry.source for entry in wanted})
    if extra:
        raise InputError(
            f"{path}: {extra[0]} is not a tensor of this architecture"
            f"{f' (nor are {len(extra) - 1} more)' if extra[1:] else ''}; "
            "use the config.json that belongs to it"
        )
    return wanted, dict(sorted(ignored.items()))


class _Partial:
    """A destination under way. The plan says what it is; another plan starts over."""

    def __init__(self, dst: Path, plan: dict[str, Any], size: int) -> None:
        if dst.exists():
            raise InputError(f"{dst} exists; choose another --dst or remove it")
        self.dst, self.path = dst, dst.with_name(dst.name + ".partial")
        text = json.dumps(plan, sort_keys=True)
        written = self.path / "plan.json"
        if not written.is_file() or written.read_text() != text:
            shutil.rmtree(self.path, ignore_errors=True)
            try:
                dst.parent.mkdir(parents=True, exist_ok=True)
                free = shutil.disk_usage(dst.parent).free
                if free < size:
                    raise InputError(
                        f"{dst}: needs {size:,} bytes, {free:,} are free; make room"
                    )
                self.path.mkdir()
                written.write_text(text)
            except OSError as error:
                raise InputError(f"{dst}: {error.strerror}; choose another --dst") from None
        self._log = (self.path / "done.txt").open("a+")
        self._log.seek(0)
        self.done = set(self._log.read().split("\n")[:-1])  # the last line may be cut

    def finish(self, name: str) -> None:
        self._log.write(f"{name}\n")
        self._log.flush()
        self.done.add(name)

    def commit(self) -> None:
        self._log.close()
        for name in ("plan.json", "done.txt"):
            (self.path / name).unlink()
        os.replace(self.path, self.dst)


def _fingerprint(directory: Path) -> dict[str, list[int]]:
    stats = {p.name: p.stat() for p in sorted(directory.iterdir()) if p.is_file()}
    return {name: [s.st_size, s.st_mtime_ns] for name, s in stats.items()}


def _small_files(directory: Path) -> Iterator[Path]:
    """What a checkpoint has beside its tensors: configs, tokenizer, chat template."""
    for path in sorted(directory.iterdir()):
        if path.is_file() and not path.name.endswith(_LEFT) and path.name != RECORD:
            yield path


def import_checkpoint(
    src: Path,
    dst: Path,
    ours: Mapping[str, Any] | None = None,
    seed: int = 0,
    tell: Tell = lambda name, size: None,
) -> Report:
    """An Inkling checkpoint directory to a model directory of this stack.

    Tensors keep their bytes (some transposed) and dtypes. What Inkling lacks (flow head,
    own-voice embedding, heard head, control rows) starts fresh, from `seed`; `ours` sets
    the config fields that Inkling leaves open. Raises InputError, with nothing written,
    when any tensor is missing, extra, misshapen, truncated or of a wrong dtype.
    """
    if not src.is_dir():
        raise InputError(f"no directory {src}; name a downloaded checkpoint")
    raw = read_json(src / "config.json")
    cfg = model_config(raw, src / "config.json", ours)
    files = TensorFiles(src)
    wanted, ignored = _match(files, cfg, src)
    specs = specs_on_disk(cfg)
    dtypes = {o: files.entries[e.source].dtype for e in wanted for o in e.ours}
    fresh = [name for name in specs if name not in dtypes]
    stored = {n: Stored(dtypes.get(n, "F32"), spec.shape) for n, spec in specs.items()}
    size = sum(entry.nbytes for entry in stored.values())
    plan = {"source": _fingerprint(src), "config": dataclasses.asdict(cfg), "seed": seed}
    partial = _Partial(dst, plan, size)
    writer = ShardWriter(partial.path, plan_shards(stored))
    try:
        for entry in wanted:
            nbytes = files.entries[entry.source].nbytes
            if entry.source not in partial.done:
                _take(files, entry, writer)
                partial.finish(entry.source)
            tell(entry.source, nbytes)
        made = initialise({name: specs[name] for name in fresh}, jax.random.key(seed))
        for name, array in made.items():
            writer.write(name, np.asarray(array))
    finally:
        writer.close()
    _write_surroundings(src, partial.path, cfg, files, ignored)
    partial.commit()
    moved = sum(files.entries[e.source].nbytes for e in wanted)
    return Report([e.source for e in wanted], ignored, fresh, moved)


def _take(files: TensorFiles, entry: Entry, writer: ShardWriter) -> None:
    """One source tensor into ours. An unpadded unembedding leaves its last rows zero."""
    have = files.entries[entry.source]
    itemsize = DTYPES[have.dtype].itemsize
    for a, b in rows(have.shape, itemsize, entry.form, PIECE_BYTES):
        parts = entry.form.split(files.read(entry.source, slice(a, b)))
        for name, part in zip(entry.ours, parts, strict=True):
            writer.write(name, part, a)


def _write_surroundings(
    src: Path, dst: Path, cfg: ModelConfig, files: TensorFiles, ignored: Mapping
) -> None:
    shards: dict[str, dict[str, list]] = {}
    for name, entry in files.entries.items():
        if name not in ignored:
            tensors = shards.setdefault(files.file_of[name], {})
            tensors[name] = [entry.dtype, list(entry.shape)]
    (dst / SOURCE).mkdir(exist_ok=True)
    for path in _small_files(src):
        shutil.copyfile(path, dst / SOURCE / path.name)
    record = {"shards": shards, "ignored": dict(ignored)}
    (dst / SOURCE / RECORD).write_text(json.dumps(record, indent=1) + "\n")
    if (src / "tokenizer.json").is_file():
        shutil.copyfile(src / "tokenizer.json", dst / "tokenizer.json")
    wave = "waveform.safetensors"  # mel to sound: the same for every model
    shutil.copyfile(ASSETS / "nano" / wave, dst / wave)
    (dst / "config.json").write_text(cfg.to_json() + "\n")


def read_record(path: Path) -> tuple[Shards, dict[str, str]]:
    """The files that a model was imported from, and what was left out of it."""
    record = read_json(path / SOURCE / RECORD)
    shards = {
        file: {name: Stored(dtype, tuple(shape)) for name, (dtype, shape) in items.items()}
        for file, items in record["shards"].items()
    }
    return shards, record["ignored"]


def export_checkpoint(src: Path, dst: Path, tell: Tell = lambda name, size: None) -> Report:
    """A model that was imported, back to an Inkling checkpoint: the same files, names,
    shapes and dtypes; the same bytes where training has not changed them.

    Parts that Inkling lacks stay behind and are reported as ignored.
    """
    if not (src / SOURCE / RECORD).is_file():
        raise InputError(
            f"{src} has no {SOURCE}/{RECORD}: only a model imported from Inkling can go "
            "back; name one"
        )
    cfg = ModelConfig.from_mapping(read_json(src / "config.json"))
    shards, dropped = read_record(src)
    check_architecture(read_json(src / SOURCE / "config.json"), src / SOURCE)
    files = TensorFiles(src)
    stored = {name: e for tensors in shards.values() for name, e in tensors.items()}
    wanted = entries(cfg, stored)
    for name in (ours for entry in wanted for ours in entry.ours):
        if name not in files.entries:
            raise InputError(f"{src}: lacks {name}; import it again")
    size = sum(entry.nbytes for entry in stored.values())
    partial = _Partial(dst, {"source": _fingerprint(src)}, size)
    writer = ShardWriter(partial.path, shards)
    try:
        for entry in wanted:
            target = stored[entry.source]
            if entry.source not in partial.done:
                _give(files, entry, target, writer)
                partial.finish(entry.source)
            tell(entry.source, target.nbytes)
    finally:
        writer.close()
    for path in _small_files(src / SOURCE):
        shutil.copyfile(path, partial.path / path.name)
    partial.commit()
    left = files.entries.keys() - {ours for entry in wanted for ours in entry.ours}
    ignored = dict.fromkeys(sorted(left), "Inkling has no such part")
    gone = {name: f"was not imported: {why}" for name, why in dropped.items()}
    return Report([e.source for e in wanted], ignored | gone, [], size)


def _give(files: TensorFiles, entry: Entry, target: Stored, writer: ShardWriter) -> None:
    """Ours into one tensor of the checkpoint, in the dtype that it had there."""
    dtype = DTYPES[target.dtype]
    for a, b in rows(target.shape, dtype.itemsize, entry.form, PIECE_BYTES):
        by_row = entry.form.by_row(len(target.shape))
        index = slice(a, b) if by_row else ...
        parts = (files.read(name, index) for name in entry.ours)
        writer.write(entry.source, entry.form.join(*parts).astype(dtype, copy=False), a)


def is_imported(path: Path) -> bool:
    return (path / SOURCE / "config.json").is_file()
