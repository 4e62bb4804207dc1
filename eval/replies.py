"""What judges replied, kept by what they were asked: scoring again costs nothing.

A file of JSON lines: {"key", "model", "system", "prompt", "temperature", "top_p", "n",
"seed", "replies": [...]}; `key` is the SHA-256 of all that was asked. Lines are only ever
added; of two with one key and model the later counts.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from interaction.errors import InputError

PLACE = "INTERACTION_JUDGE_CACHE"


def default_place() -> Path:
    """Where replies are kept, unless the environment names another file."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(PLACE) or Path(home) / "interaction" / "judge.jsonl")


def question(
    prompt: str, system: str, temperature: float | None, n: int, seed: int | None,
    top_p: float | None,
) -> dict[str, Any]:  # fmt: skip
    """All that decides a reply but the model, with its key."""
    asked = {
        "system": system, "prompt": prompt, "temperature": temperature, "top_p": top_p,
        "n": n, "seed": seed,
    }  # fmt: skip
    key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return {"key": key} | asked


class Replies:
    """The file, in memory too. Raises InputError where a line of it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[tuple[str, str], list[str]] = {}
        if path.exists():
            for i, line in enumerate(path.read_text().splitlines(), 1):
                self._learn(i, line)

    def _learn(self, i: int, line: str) -> None:
        try:
            d = json.loads(line)
            key, model, replies = d["key"], d["model"], d["replies"]
            if not all(isinstance(x, str) for x in (key, model, *replies)):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"{self.path}:{i}: no reply of a judge; remove the line"
            ) from None
        self._known[key, model] = replies

    @property
    def models(self) -> list[str]:
        return sorted({model for _, model in self._known})

    def get(self, key: str, model: str) -> list[str] | None:
        return self._known.get((key, model))

    def add(self, asked: dict[str, Any], model: str, replies: list[str]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"model": model} | asked | {"replies": replies}) + "\n"
        # One write to a file opened for appending: two scorers do not mix their lines.
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)
        self._known[asked["key"], model] = replies
