"""What every VoiceBench task is, and what its leaderboard says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from eval.ears import Ears
from eval.judge import Judge
from eval.layouts import voicebench
from eval.record import Record
from eval.sample import Fault, Sample
from eval.task import Asked, Metric, Row

SOURCE = "leaderboard of github.com/MatthewCYM/VoiceBench, 2025-03"
_COLUMNS = ("alpacaeval", "commoneval", "mmsu", "openbookqa", "ifeval", "advbench")
_BOARD = {
    "Whisper-v3-large+GPT-4o": (4.80, 4.47, 81.69, 92.97, 76.51, 98.27),
    "GPT-4o-Audio": (4.78, 4.49, 80.25, 89.23, 76.02, 98.65),
    "GPT-4o-mini-Audio": (4.75, 4.24, 72.90, 84.84, 72.90, 98.27),
    "Qwen2.5-Omni-7B": (4.49, 3.93, 61.32, 81.10, 52.87, 99.42),
    "MiniCPM-o": (4.42, 4.15, 54.78, 78.02, 49.25, 97.69),
    "VITA-1.5": (4.21, 3.66, 52.15, 71.65, 38.14, 97.69),
    "GLM-4-Voice": (3.97, 3.42, 39.75, 53.41, 25.92, 88.08),
    "Freeze-Omni": (4.03, 3.46, 28.14, 30.98, 23.40, 97.30),
    "Moshi": (2.01, 1.60, 24.04, 25.93, 10.12, 44.23),
}


def board(column: str, metric: str) -> dict[str, dict[str, float]]:
    """The leaderboard's column, as a task's `published`."""
    i = _COLUMNS.index(column)
    return {system: {metric: row[i]} for system, row in _BOARD.items()}


@dataclass(frozen=True)
class VoiceBench:
    """folder: of the data set; evaluator: the official one's name; needs: columns of text
    beside `prompt`. A question is streamed, then 20 s of silence."""

    about: str
    folder: str
    evaluator: str
    metrics: Mapping[str, Metric]
    needs: Sequence[str] = ()
    version: int = 1
    synthetic: bool = False
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    source: str = SOURCE
    crosscheck: str = "voicebench"

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        yield from voicebench.samples(asked.data, self.folder, self.needs)

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        raise NotImplementedError

    def known(self, agent: str, sample: Sample) -> Row | None:
        return None
