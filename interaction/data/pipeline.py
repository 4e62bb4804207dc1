"""The grain pipeline: an endless, seeded stream of batches that resumes exactly.

Rows are made in worker processes and batched after them, so their order does not depend
on how many workers there are. The iterator's state is a few integers.
"""

from __future__ import annotations

import dataclasses

import grain
import numpy as np
from absl import flags

from interaction.config import ModelConfig
from interaction.data import world
from interaction.data.pack import Row, Shape, pack
from interaction.modality.text import Text


class _Indices:
    """The source, grain's `RandomAccessDataSource`, is nothing but row numbers."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> int:
        return int(index)


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


def batches(make: grain.transforms.Map, batch: int, workers: int) -> grain.IterDataset:
    """Endless batches {name: [batch, ...]}."""
    if not flags.FLAGS.is_parsed():  # grain's workers read absl's flags
        flags.FLAGS.mark_as_parsed()
    rows = grain.MapDataset.source(_Indices(2**31 - 1)).map(make)
    stream = rows.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=4))
    if workers:
        stream = stream.mp_prefetch(
            grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=16)
        )
    return stream.batch(batch, drop_remainder=True, batch_fn=stack)


def stack(rows: list[Row]) -> Row:
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
