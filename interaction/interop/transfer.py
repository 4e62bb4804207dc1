"""Inkling checkpoints in and out, a piece of a tensor at a time.

Everything is checked before anything is written; `partial` says how a destination under
way survives an interruption.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from interaction import weights
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.interop.inkling import Mapped, entries, is_mtp, rows, stays_float32
from interaction.interop.inkling_config import (
    check_architecture,
    model_config,
    placeholders,
    stop_tokens,
)
from interaction.interop.partial import Partial, fingerprint, named_errors
from interaction.jsonfile import read_json
from interaction.modality.text import Text
from interaction.package import ASSETS, SOURCE
from interaction.params import initialise
from interaction.tensors import (
    DTYPES,
    INDEX,
    Entry,
    Shards,
    TensorFiles,
    check_file_names,
    plan_shards,
)

RECORD = "tensors.json"  # in SOURCE: the files and tensors that an export makes again
PIECE_BYTES = 128 << 20
_BESIDE = (".json", ".jinja", ".txt", ".model", ".md", "LICENSE", "NOTICE")

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


def source_shape(entry: Mapped, specs: Mapping[str, Any]) -> tuple[int, ...]:
    return entry.form.shape(*(specs[name].shape for name in entry.ours))


def _fits(entry: Mapped, found: Entry, cfg: ModelConfig, specs: Mapping) -> bool:
    """The unembedding may come without the padding of the vocabulary."""
    shapes = [source_shape(entry, specs)]
    if entry.ours == ("unembed",):
        shapes.append((cfg.vocab_used, cfg.width))
    return found.shape in shapes


def _match(
    files: TensorFiles, cfg: ModelConfig, path: Path
) -> tuple[list[Mapped], dict[str, str]]:
    """-> (entries of this checkpoint, what is ignored and why). Raises InputError."""
    specs, have = weights.specs_on_disk(cfg), files.entries
    wanted = entries(cfg, have)
    main = "BF16" if cfg.dtype == "bfloat16" else "F32"
    for entry in wanted:
        if entry.source not in have:
            raise InputError(f"{path}: lacks {entry.source}; download the checkpoint again")
        found = have[entry.source]
        if not _fits(entry, found, cfg, specs):
            raise InputError(
                f"{path}: {entry.source} is {list(found.shape)}, config.json says "
                f"{list(source_shape(entry, specs))}; use its own config.json"
            )
        if found.dtype not in {main, "F32" if stays_float32(entry.source) else main}:
            raise InputError(
                f"{path}: {entry.source} is {found.dtype}, the checkpoint is {main}; "
                "use weights of one dtype"
            )
    rest = sorted(have.keys() - {entry.source for entry in wanted})
    ignored = {
        name: "multi-token prediction is not part of this model"
        for name in rest
        if is_mtp(name)
    }
    extra = [name for name in rest if name not in ignored]
    if extra:
        raise InputError(
            f"{path}: {extra[0]} is not a tensor of this architecture"
            f"{f' (nor are {len(extra) - 1} more)' if extra[1:] else ''}; "
            "use the config.json that belongs to it"
        )
    return wanted, ignored


def _beside(directory: Path) -> Iterator[Path]:
    """What a checkpoint has beside its tensors: configs, tokenizer, chat template."""
    for path in sorted(directory.iterdir()):
        if path.is_file() and path.name.endswith(_BESIDE) and path.name != RECORD:
            yield path


def _tensor_files(directory: Path, files: TensorFiles) -> list[Path]:
    """The files that a transfer depends on."""
    names = {INDEX, "config.json", f"{SOURCE}/{RECORD}", *files.file_of.values()}
    return [directory / n for n in sorted(names) if (directory / n).is_file()]


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
    when any tensor is missing, extra, misshapen, truncated or of a wrong dtype, and when
    a config or the tokenizer does not read.
    """
    if not src.is_dir():
        raise InputError(f"no directory {src}; name a downloaded checkpoint")
    raw = read_json(src / "config.json")
    files = TensorFiles(src)
    float32 = {e.dtype for n, e in files.entries.items() if "embed.weight" in n} == {"F32"}
    dtype = "float32" if float32 else "bfloat16"
    cfg = model_config(raw, src / "config.json", ours, dtype)
    placeholders(raw, src / "config.json")
    stop_tokens(src)
    wanted, ignored = _match(files, cfg, src)
    tokenizer = src / "tokenizer.json"
    if tokenizer.is_file() and Text.open(tokenizer).size > cfg.vocab:
        raise InputError(f"{tokenizer}: more tokens than the model's {cfg.vocab}")
    specs = weights.specs_on_disk(cfg)
    dtypes = {o: files.entries[e.source].dtype for e in wanted for o in e.ours}
    fresh = [name for name in specs if name not in dtypes]
    stored = {n: Entry(dtypes.get(n, "F32"), spec.shape) for n, spec in specs.items()}
    made = initialise({name: specs[name] for name in fresh}, _key(seed))
    with named_errors(dst):
        plan = {
            "source": fingerprint(_tensor_files(src, files)),
            "config": dataclasses.asdict(cfg),
            "seed": seed,
        }
        partial = Partial(dst, plan, plan_shards(stored))
        try:
            for entry in wanted:
                _take(files, entry, partial, tell)
            for name, array in made.items():
                partial.writer.write(name, np.asarray(array))
            partial.sync()
            _write_surroundings(src, partial.path, cfg, files, ignored)
        finally:
            partial.close()
        (partial.path / "config.json").write_text(cfg.to_json() + "\n")
        partial.commit()
    moved = sum(files.entries[e.source].nbytes for e in wanted)
    return Report([e.source for e in wanted], ignored, fresh, moved)


def _key(seed: int) -> jax.Array:
    if not 0 <= seed < 2**32:
        raise InputError(f"seed {seed}: give one of 0..{2**32 - 1}")
    return jax.random.key(seed)


def _take(files: TensorFiles, entry: Mapped, partial: Partial, tell: Tell) -> None:
    """One source tensor into ours. An unpadded unembedding leaves its last rows zero."""
    have = files.entries[entry.source]
    if entry.source in partial.done:
        return tell(entry.source, have.nbytes)
    itemsize = DTYPES[have.dtype].itemsize
    for a, b in rows(have.shape, itemsize, entry.form, PIECE_BYTES):
        piece = files.read(entry.source, slice(a, b))
        for name, part in zip(entry.ours, entry.form.split(piece), strict=True):
            partial.writer.write(name, part, a)
        tell(entry.source, piece.nbytes)
    partial.finish(entry.source, have.nbytes)


def _write_surroundings(
    src: Path, dst: Path, cfg: ModelConfig, files: TensorFiles, ignored: Mapping
) -> None:
    shards: dict[str, dict[str, list]] = {}
    for name, entry in files.entries.items():
        if name not in ignored:
            tensors = shards.setdefault(files.file_of[name], {})
            tensors[name] = [entry.dtype, list(entry.shape)]
    (dst / SOURCE).mkdir(exist_ok=True)
    for path in _beside(src):
        shutil.copyfile(path, dst / SOURCE / path.name)
    record = {"shards": shards, "ignored": dict(ignored)}
    (dst / SOURCE / RECORD).write_text(json.dumps(record, indent=1) + "\n")
    if (src / "tokenizer.json").is_file():
        shutil.copyfile(src / "tokenizer.json", dst / "tokenizer.json")
    wave = "waveform.safetensors"  # mel to sound: the same for every model
    shutil.copyfile(ASSETS / "nano" / wave, dst / wave)


def read_record(path: Path) -> tuple[Shards, dict[str, str]]:
    """The files that a model was imported from, and what was left out of it."""
    record = read_json(path)
    try:
        shards = {
            str(file): {
                name: Entry(dtype, tuple(shape)) for name, (dtype, shape) in items.items()
            }
            for file, items in record["shards"].items()
        }
        ignored = dict(record["ignored"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} does not read ({error!r}); import it again") from None
    check_file_names(shards, path)
    return shards, ignored


def export_checkpoint(src: Path, dst: Path, tell: Tell = lambda name, size: None) -> Report:
    """A model that was imported, back to an Inkling checkpoint: the same tensors in the
    same files, dtypes and shapes; the same bytes where training has not changed them.

    Parts that Inkling lacks stay behind and are reported as ignored.
    """
    path = src / SOURCE / RECORD
    if not path.is_file():
        raise InputError(
            f"{src} has no {SOURCE}/{RECORD}: only a model imported from Inkling can go "
            "back; name one"
        )
    cfg = ModelConfig.from_mapping(read_json(src / "config.json"))
    shards, dropped = read_record(path)
    check_architecture(read_json(src / SOURCE / "config.json"), src / SOURCE)
    files = TensorFiles(src)
    weights.check(files, cfg, src)
    stored = {name: e for tensors in shards.values() for name, e in tensors.items()}
    wanted, specs = entries(cfg, stored), weights.specs_on_disk(cfg)
    for entry in wanted:
        found = stored.get(entry.source)
        if found is None or not _fits(entry, found, cfg, specs):
            raise InputError(f"{path}: does not fit config.json at {entry.source}")
    if len(wanted) != len(stored):
        raise InputError(f"{path}: lists tensors that the model has not; import it again")
    with named_errors(dst):
        plan = {"source": fingerprint(_tensor_files(src, files))}
        partial = Partial(dst, plan, shards)
        try:
            for entry in wanted:
                _give(files, entry, stored[entry.source], partial, tell)
            partial.sync()
        finally:
            partial.close()
        for beside in _beside(src / SOURCE):
            if beside.name != INDEX or not dropped:  # else the index is a shorter one
                shutil.copyfile(beside, partial.path / beside.name)
        partial.commit()
    left = files.entries.keys() - {ours for entry in wanted for ours in entry.ours}
    ignored = dict.fromkeys(sorted(left), "Inkling has no such part")
    gone = {name: f"was not imported: {why}" for name, why in dropped.items()}
    size = sum(entry.nbytes for entry in stored.values())
    return Report([e.source for e in wanted], ignored | gone, [], size)


def _give(
    files: TensorFiles, entry: Mapped, target: Entry, partial: Partial, tell: Tell
) -> None:
    """Ours into one tensor of the checkpoint, in the dtype that it had there."""
    if entry.source in partial.done:
        return tell(entry.source, target.nbytes)
    dtype = DTYPES[target.dtype]
    for a, b in rows(target.shape, dtype.itemsize, entry.form, PIECE_BYTES):
        by_row = entry.form.by_row(len(target.shape))
        index = slice(a, b) if by_row else ...
        parts = (files.read(name, index) for name in entry.ours)
        piece = entry.form.join(*parts).astype(dtype, copy=False)
        partial.writer.write(entry.source, piece, a)
        tell(entry.source, piece.nbytes)
    partial.finish(entry.source, target.nbytes)
