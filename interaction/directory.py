"""Directories to write to: what is one, and what is not."""

from __future__ import annotations

import os
import re
from pathlib import Path

from interaction.errors import InputError

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)


def directory(flag: str, path: Path) -> Path:
    """The same path. Raises InputError for gs://… and its like: runs append to files and
    rename them, which object stores cannot do, and as a path it is a new local directory
    of the name `gs:`."""
    if match := _ADDRESS.fullmatch(str(path)):
        scheme, rest = match[1], match[2]
        raise InputError(
            f"{flag}={scheme}://{rest}: is no directory; mount the bucket (gs:// by Cloud "
            f"Storage FUSE) at a path that all hosts share, and name that: /gcs/{rest}"
        )
    return path


def private(path: Path) -> None:
    """Make a directory for its owner's eyes, unless it is there. Raises InputError when it
    is no place to write to."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; name a directory") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise InputError(f"{path}: cannot be written; choose another place")
