"""Replies that were kept, and no others: scoring anew without a network.

    --judge=replay:judge.jsonl

The file is what `--judge=openai` keeps. A question that is not in it is a failure.
"""

from __future__ import annotations

from pathlib import Path

from eval.replies import Replies, question
from interaction.errors import InputError


class Replay:
    """failures: questions that are not in the file, and replies without a rating."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"--judge=replay:{path}: no such file; name kept replies")
        self._kept = Replies(path)
        if len(self._kept.models) != 1:
            found = ", ".join(self._kept.models) or "none"
            raise InputError(f"--judge=replay:{path}: replies of one model; has {found}")
        (self._model,) = self._kept.models
        self.name = f"replay:{self._model}"
        self.failures = 0
        self.official: Path | None = None

    def ask(
        self, prompt: str, system: str = "", temperature: float | None = 0.0, n: int = 1,
        seed: int | None = None, top_p: float | None = None,
    ) -> list[str] | None:  # fmt: skip
        asked = question(prompt, system, temperature, n, seed, top_p)
        replies = self._kept.get(asked["key"], self._model)
        self.failures += replies is None
        return replies

    def misread(self) -> None:
        self.failures += 1


def open(rest: str) -> Replay:
    if not rest:
        raise InputError("--judge=replay: no file; give replay:FILE")
    return Replay(Path(rest))
