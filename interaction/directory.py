"""Directories to write to, which an object store's address is not."""

from __future__ import annotations

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
