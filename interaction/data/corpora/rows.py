"""Training rows from a prepared corpus: long conversations cut into seeded windows, short
ones together.

In an epoch, every dialogue of n micro-turns gives floor(n / turns) windows that do not
overlap, from an offset that its seed draws anew each epoch, so that what falls off the
ends differs. Dialogues shorter than a row share rows, as few as best fit, longest first,
finds; which share one stays, their order in it changes. The rows come in an order drawn
each epoch. All of it follows from the seed and the row's number alone.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import grain
import numpy as np

from interaction.config import ModelConfig
from interaction.data.corpora.record import TURN_S
from interaction.data.corpora.records import Corpus
from interaction.data.dialogue import Dialogue
from interaction.data.pack import Row, Shape
from interaction.data.together import pack_together
from interaction.errors import InputError
from interaction.modality.text import Text


class Piece(NamedTuple):
    """Part of a dialogue: so many micro-turns, from one on."""

    dialogue: int
    start: int
    turns: int


def best_fit(costs: Sequence[int], room: int, seed: int) -> list[tuple[int, ...]]:
    """Items to bins that hold `room`: longest first, each into the fullest bin that still
    has room for it. Items of one cost come in an order that the seed draws."""
    drawn = np.random.default_rng((seed, 3)).permutation(len(costs))
    order = drawn[np.argsort(-np.asarray(costs)[drawn], kind="stable")]
    bins: list[list[int]] = []
    free: list[list[int]] = [[] for _ in range(room + 1)]  # bins, by the room they have
    some = 0  # a bit for each room that a bin has
    for item in order.tolist():
        cost = costs[item]
        if fits := some >> cost:
            left = cost + (fits & -fits).bit_length() - 1
            number = free[left].pop()
            if not free[left]:
                some &= ~(1 << left)
        else:
            left, number = room, len(bins)
            bins.append([])
        bins[number].append(item)
        free[left - cost].append(number)
        some |= 1 << (left - cost)
    return [tuple(items) for items in bins]


@dataclasses.dataclass(frozen=True)
class Windows:
    """Row number -> the pieces that it holds. lengths: int [dialogues], in turns. A row has
    room for `turns` turns in `splits` places, in which sessions begin."""

    lengths: tuple[int, ...] | np.ndarray
    turns: int
    seed: int
    splits: int = 1

    @functools.cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum(np.asarray(self.lengths) // self.turns)

    @functools.cached_property
    def _shared(self) -> list[tuple[int, ...]]:
        """Dialogues by the row that they share. One takes its part of the row's places, and
        a position that keeps it from the next."""
        lengths = np.asarray(self.lengths)
        (short,) = np.nonzero(lengths < self.turns)
        costs = np.minimum(lengths[short] * self.splits // self.turns + 1, self.splits)
        bins = best_fit(costs.tolist(), self.splits, self.seed)
        return [tuple(int(short[i]) for i in items) for items in bins]

    @property
    def epoch(self) -> int:
        """Rows of an epoch."""
        return int(self._ends[-1]) + len(self._shared)

    def __getitem__(self, row: int) -> tuple[Piece, ...]:
        epoch, place = divmod(int(row), self.epoch)
        window = int(_order(self.seed, epoch, self.epoch)[place])
        if (number := window - int(self._ends[-1])) >= 0:
            sharing = self._shared[number]
            draw = np.random.default_rng((self.seed, epoch, 2, number))
            return tuple(
                Piece(d, 0, int(self.lengths[d]))
                for d in (sharing[i] for i in draw.permutation(len(sharing)))
            )
        dialogue = int(np.searchsorted(self._ends, window, side="right"))
        first = int(self._ends[dialogue - 1]) if dialogue else 0
        spare = int(self.lengths[dialogue]) % self.turns
        offset = np.random.default_rng((self.seed, epoch, 1, dialogue)).integers(spare + 1)
        start = (window - first) * self.turns + int(offset)
        return (Piece(dialogue, start, self.turns),)


@functools.lru_cache(maxsize=2)  # rows are asked for in order: an epoch and the next
def _order(seed: int, epoch: int, size: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch, 0)).permutation(size)


@dataclasses.dataclass(frozen=True)
class CorpusRow(grain.transforms.Map):
    """Row number -> packed row of the prepared corpus in a directory.

    Takes the place of `pipeline.MakeRow`. Raises InputError if the corpus's pictures are
    not of the size that the model sees, or nobody in it speaks as the agent.
    """

    cfg: ModelConfig
    shape: Shape
    tokenizer: str
    seed: int
    turns: int
    corpus: str

    def __post_init__(self) -> None:
        index = _open(self.corpus).index
        if not index["speech_s"]["agent"]:
            raise InputError(f"{self.corpus}: nobody speaks as the agent; see its index")

    def parts(self, index: int) -> list[Dialogue]:
        """The parts of dialogues that a row holds."""
        splits = max(self.shape.positions // self.cfg.kv_split, 1)
        pieces = _windows(self.corpus, self.turns, self.seed, splits)[index]
        return [self._part(piece) for piece in pieces]

    def _part(self, piece: Piece) -> Dialogue:
        dialogue = _open(self.corpus).window(*piece)
        size = (self.cfg.frame_height, self.cfg.frame_width)
        if dialogue.frames and dialogue.frames[0][1].shape[1:3] != size:
            wanted = f"--video={size[0]}x{size[1]}"
            raise InputError(f"{self.corpus}: other pictures; prepare it with {wanted}")
        period = self.cfg.frame_period  # how often the model looks
        seen = (
            f for f in dialogue.frames if (round(f[0] / TURN_S) + piece.start) % period == 0
        )
        return dataclasses.replace(dialogue, frames=tuple(seen))

    def map(self, index: int) -> Row:
        text = _text(self.tokenizer)
        return pack_together(self.parts(index), text, self.cfg, self.shape, self.turns)


# Opened once a process: they do not travel to workers.
@functools.lru_cache(maxsize=4)
def _open(directory: str) -> Corpus:
    return Corpus.open(directory)


@functools.lru_cache(maxsize=4)
def _windows(directory: str, turns: int, seed: int, splits: int) -> Windows:
    return Windows(_open(directory).turns, turns, seed, splits)


@functools.lru_cache(maxsize=4)
def _text(path: str) -> Text:
    return Text.open(path)
