"""The face of what rates answers that no formula can.

A judge is a module of `eval.judges` with `open(rest)`: `--judge=NAME:REST`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from eval import modules


class Judge(Protocol):
    """name: for provenance; failures: replies so far that were none, or that a task could
    not read (`misread`); official: the evaluator's checkout of a benchmark's code, where
    its prompts are."""

    name: str
    failures: int
    official: Path | None

    def ask(
        self, prompt: str, system: str = "", temperature: float | None = 0.0, n: int = 1,
        seed: int | None = None, top_p: float | None = None,
    ) -> list[str] | None:  # fmt: skip
        """n replies; None where there is no judge, or it gave none. A setting that is None
        is the model's own."""

    def misread(self) -> None:
        """Counts a reply that had no rating in it."""


def judge(name: str = "none", official: Path | None = None) -> Judge:
    """Raises InputError for a name that is not there."""
    module, rest = modules.named("eval.judges", "--judge", name)
    opened = module.open(rest)
    opened.official = official
    return opened
