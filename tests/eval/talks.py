"""What tests of public tasks share: data sets in small, and agents that say what they are
given."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from eval import record as records
from eval import score, task
from eval.agent import Heard, Said, Solo
from eval.ears import ears
from eval.judge import Judge, judge
from eval.run import run
from eval.sample import Sample
from eval.task import Asked

EARS = ears("text_stream", "energy")
TONE = (0.3 * np.sin(np.arange(8_000) * 0.1)).astype(np.float32)  # half a second
ABOUT = {"agent": "says", "clock": "lockstep", "seed": 0, "git": None}


def sound(file: Path, rate: int = 16_000, channels: int = 1) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.3 * np.sin(np.arange(rate // 2) * 0.1)
    soundfile.write(file, np.stack([wave] * channels, axis=1), rate)
    return file


def lines(file: Path, rows: Sequence[Any]) -> Path:
    """A .jsonl, with a.wav beside it; a row that is a text stands as it is."""
    sound(file.with_name("a.wav"))
    texts = [r if isinstance(r, str) else json.dumps({"audio": "a.wav"} | r) for r in rows]
    file.write_text("".join(text + "\n" for text in texts))
    return file


class _Writer:
    """Writes its texts, (turn, text), and sounds like nothing."""

    def __init__(self, texts: Mapping[int, str]) -> None:
        self._texts, self._turn = texts, 0

    def step(self, heard: Heard) -> Said:
        self._turn += 1
        return Said(text=self._texts.get(self._turn, ""))

    def close(self) -> None:
        pass


def says(answer: Callable[[Sample], str | Mapping[int, str]]) -> Solo:
    def make(sample: Sample) -> _Writer:
        text = answer(sample)
        return _Writer({3: text} if isinstance(text, str) else text)

    return Solo("says", make, slots=16)


def held(name: str, agent: Solo, asked: Asked, folder: Path) -> task.Task:
    found = task.load(name)
    run(agent, found.samples(asked), folder / name, "lockstep")
    return found


def scored(name: str, folder: Path, by: Judge | None = None) -> score.Scored:
    n = len(list(records.stored(folder, name)))
    by = by or judge("none")
    return score.score(folder, name, task.load(name), EARS, by, ABOUT, n)


def values(done: score.Scored) -> dict[str, Any]:
    return {name: figure["value"] for name, figure in done.figures.items()}
