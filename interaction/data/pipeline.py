"""The grain pipeline: an endless, seeded stream of batches that resumes exactly.

A row is a function of its number alone, and a batch is `batch` consecutive numbers. So the
number of the next row is all there is to a position in the data: a pipeline that begins
there goes on with the same batches, whatever number of hosts and workers makes them. (A
grain iterator's own state fits only as many workers as it was taken with.)

Rows are made in worker processes and batched after them, so their order does not depend
on how many workers there are.
"""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Sequence
from typing import Protocol

import grain
import numpy as np
from absl import flags

from interaction.config import ModelConfig
from interaction.data import world
from interaction.data.pack import Row, Shape, pack
from interaction.modality.text import Text


class _Numbers:
    """The source, grain's `RandomAccessDataSource`: the numbers of the rows to make."""

    def __init__(self, first: int, batch: int, mine: Sequence[int]) -> None:
        self._first, self._batch, self._mine = first, batch, tuple(mine)

    def __len__(self) -> int:
        return 2**62

    def __getitem__(self, index: int) -> int:
        batch, place = divmod(int(index), len(self._mine))
        return self._first + batch * self._batch + self._mine[place]


class Maker(Protocol):
    """Row number -> packed row; `tokenizer` is the file that its text is made with."""

    @property
    def tokenizer(self) -> str: ...

    def map(self, index: int) -> Row: ...


@dataclasses.dataclass(frozen=True)
class MakeRow(grain.transforms.Map):
    """Row number -> packed row of the synthetic world."""

    cfg: ModelConfig
    shape: Shape
    tokenizer: str
    seed: int
    turns: int
    split: str = "train"
    warm_rows: int = 0  # first rows, with more of the plain questions
    warm_mix: tuple[tuple[str, float], ...] = ()

    def map(self, index: int) -> Row:
        mix = dict(self.warm_mix) if index < self.warm_rows else None
        dialogue = world.dialogue(
            self.seed, index, split=self.split, turns=self.turns, mix=mix
        )
        return pack(dialogue, _text(self.tokenizer), self.cfg, self.shape)


_TEXTS: dict[str, Text] = {}


def _text(path: str) -> Text:
    """One tokenizer a process: it does not travel to workers."""
    if path not in _TEXTS:
        _TEXTS[path] = Text.open(path)
    return _TEXTS[path]


@dataclasses.dataclass(frozen=True)
class _Numbered(grain.transforms.Map):
    """A row that carries its number as `row`: what is logged is what was really made."""

    make: Maker

    def map(self, index: int) -> Row:
        return self.make.map(index) | {"row": np.int64(index)}


def _leave_the_end_to_the_trainer(worker: int, workers: int) -> None:
    """SIGTERM to the whole process group must not take the data away before the last
    save."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def batches(
    make: Maker,
    batch: int,
    workers: int,
    first: int = 0,
    mine: Sequence[int] | None = None,
) -> grain.IterDataset:
    """Endless batches {name: [rows, ...]}, with each row's number as `row`, int64.

    first: number of the first batch's first row. mine: places in the batch of `batch` rows
    that are made here; default: all.
    """
    if not flags.FLAGS.is_parsed():  # grain's workers read absl's flags
        flags.FLAGS.mark_as_parsed()
    mine = range(batch) if mine is None else mine
    rows = grain.MapDataset.source(_Numbers(first, batch, mine)).map(_Numbered(make))
    stream = rows.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=4))
    if workers:
        stream = stream.mp_prefetch(
            grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=16),
            worker_init_fn=_leave_the_end_to_the_trainer,
        )
    return stream.batch(len(mine), drop_remainder=True, batch_fn=stack)


def stack(rows: list[Row]) -> Row:
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
