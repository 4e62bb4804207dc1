"""JSON Lines files with one line a step: exactly one, after a resume too."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def cut(path: Path, step: int) -> None:
    """Drop the lines of steps after `step`, and a line that was cut off in writing."""
    if not path.exists():
        return
    lines = [x for x in path.read_text().splitlines() if x.endswith("}")]
    kept = [x for x in lines if json.loads(x)["step"] <= step]
    partial = path.with_suffix(".partial")
    partial.write_text("".join(line + "\n" for line in kept))
    os.replace(partial, path)


class Lines:
    """A file that grows by one line a step."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("a")

    def add(self, step: int, values: dict[str, Any]) -> None:
        self._file.write(json.dumps({"step": step} | values, allow_nan=False) + "\n")

    def flush(self, to_disk: bool = False) -> None:
        self._file.flush()
        if to_disk:
            os.fsync(self._file.fileno())
            # A bucket that is mounted has what was closed, whatever was synced.
            self._file.close()
            self._file = self._path.open("a")

    def close(self) -> None:
        self._file.close()
