"""What the tasks of Full-Duplex-Bench v1 and v1.5 share: a subset of its folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.formulas.full_duplex_bench import SYSTEM_GAP_S, merged
from eval.layouts import full_duplex_bench as layout
from eval.layouts.full_duplex_bench import Subset
from eval.sample import Fault, Sample
from eval.task import Asked


@dataclass(frozen=True)
class FullDuplexBench:
    """subset: the folder whose samples it reads, and where `export` puts them."""

    subset: Subset
    about: str
    published: Mapping[str, Mapping[str, float]]
    version: int = 1
    synthetic: bool = False
    source: str = "README of DanielLin94144/Full-Duplex-Bench"
    crosscheck: str = "full_duplex_bench"

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        return layout.samples(asked, self.subset, self.read)

    def read(self, place: Path) -> Iterator[Sample]:
        """What a sample's folder holds. Raises InputError."""
        raise NotImplementedError


def kept_talking(spoken: Sequence[tuple[float, float]], start: float, end: float) -> bool:
    """Whether a system that spoke at `start` spoke on to `end`, pauses of 0.5 s apart."""
    return any(a <= start and b >= end for a, b in merged(spoken, SYSTEM_GAP_S))
