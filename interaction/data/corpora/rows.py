"""Training rows from a prepared corpus: long conversations cut into seeded windows.

In an epoch, every dialogue of n micro-turns gives floor(n / turns) windows that do not
overlap, from an offset that its seed draws anew each epoch, so that what falls off the
ends differs; a dialogue shorter than a row gives one, with silence after it. The windows
of all dialogues come in an order drawn each epoch. All of it follows from the seed and the
row's number alone.
"""

from __future__ import annotations

import dataclasses
import functools

import grain
import numpy as np

from interaction.config import ModelConfig
from interaction.data.corpora.record import TURN_S
from interaction.data.corpora.records import Corpus
from interaction.data.dialogue import Dialogue
from interaction.data.pack import Row, Shape, pack
from interaction.errors import InputError
from interaction.modality.text import Text


@dataclasses.dataclass(frozen=True)
class Windows:
    """Row number -> (dialogue, first turn). lengths: int [dialogues], in turns."""

    lengths: tuple[int, ...] | np.ndarray
    turns: int
    seed: int

    @functools.cached_property
    def _ends(self) -> np.ndarray:
        counts = np.maximum(np.asarray(self.lengths) // self.turns, 1)
        return np.cumsum(counts)

    @property
    def epoch(self) -> int:
        """Rows of an epoch."""
        return int(self._ends[-1])

    def __getitem__(self, row: int) -> tuple[int, int]:
        epoch, place = divmod(int(row), self.epoch)
        window = int(_order(self.seed, epoch, self.epoch)[place])
        dialogue = int(np.searchsorted(self._ends, window, side="right"))
        first = int(self._ends[dialogue - 1]) if dialogue else 0
        spare = max(int(self.lengths[dialogue]), self.turns) % self.turns
        offset = np.random.default_rng((self.seed, epoch, 1, dialogue)).integers(spare + 1)
        return dialogue, (window - first) * self.turns + int(offset)


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

    def window(self, index: int) -> Dialogue:
        """The part of a dialogue that a row holds."""
        corpus = _open(self.corpus)
        number, start = _windows(self.corpus, self.turns, self.seed)[index]
        dialogue = corpus.window(number, start, self.turns)
        size = (self.cfg.frame_height, self.cfg.frame_width)
        if dialogue.frames and dialogue.frames[0][1].shape[1:3] != size:
            wanted = f"--video={size[0]}x{size[1]}"
            raise InputError(f"{self.corpus}: other pictures; prepare it with {wanted}")
        period = self.cfg.frame_period  # how often the model looks
        seen = (f for f in dialogue.frames if (round(f[0] / TURN_S) + start) % period == 0)
        return dataclasses.replace(dialogue, frames=tuple(seen))

    def map(self, index: int) -> Row:
        return pack(self.window(index), _text(self.tokenizer), self.cfg, self.shape)


# Opened once a process: they do not travel to workers.
@functools.lru_cache(maxsize=4)
def _open(directory: str) -> Corpus:
    return Corpus.open(directory)


@functools.lru_cache(maxsize=4)
def _windows(directory: str, turns: int, seed: int) -> Windows:
    return Windows(_open(directory).turns, turns, seed)


@functools.lru_cache(maxsize=4)
def _text(path: str) -> Text:
    return Text.open(path)
