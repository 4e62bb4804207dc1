"""Snapshots in a directory, each under a token that its client was told.

A file's name is its token's digest: who sees names can resume nothing. Servers may share a
directory, at once or one after another.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path

from interaction.config import ModelConfig
from interaction.directory import private
from interaction.errors import InputError
from interaction.snapshot import Snapshot, load, save

MOST = 1_000  # snapshots in a directory
ENDING, CLAIMED = ".safetensors", ".claimed"


class Shelf:
    """keep_s: how long a snapshot can be resumed. Every method works on the disk, and is
    not for the threads that must not wait. Raises InputError when the directory is no place
    to write to."""

    def __init__(self, directory: Path, cfg: ModelConfig, keep_s: float) -> None:
        self._directory, self._cfg, self.keep_s = directory, cfg, keep_s
        private(directory)

    def put(self, token: str, snapshot: Snapshot) -> None:
        """Raises InputError when it cannot be kept."""
        if sum(1 for _ in self._directory.glob(f"*{ENDING}")) >= MOST:
            raise InputError(f"{MOST} snapshots are kept, the most; try again later")
        try:
            save(self._path(token), snapshot)
        except OSError as error:
            raise InputError(f"the snapshot was not written: {error.strerror}") from None

    def take(self, token: str, fork: bool = False) -> Snapshot:
        """What lies under a token; not for a fork, it is claimed: nobody else gets it until
        `put_back`, and `drop` ends it. Raises InputError."""
        path = self._path(token)
        claimed = path if fork else path.with_name(path.name + CLAIMED)
        try:
            if self._old(path):
                path.unlink()
                raise InputError(
                    f"the snapshot under this token has expired: it was kept for "
                    f"{self.keep_s:.0f} s; begin a new conversation"
                )
            os.replace(path, claimed)
        except FileNotFoundError:
            raise InputError(
                "no conversation waits under this token; begin a new one"
            ) from None
        try:
            return load(claimed, self._cfg)
        except InputError as error:
            os.replace(claimed, path)
            raise InputError(str(error).replace(str(claimed), "the snapshot")) from None

    def put_back(self, token: str) -> None:
        path = self._path(token)
        with contextlib.suppress(FileNotFoundError):  # dropped meanwhile
            os.replace(path.with_name(path.name + CLAIMED), path)

    def drop(self, token: str) -> None:
        """Claimed or not; one that is gone may be dropped again."""
        path = self._path(token)
        path.unlink(missing_ok=True)
        path.with_name(path.name + CLAIMED).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what has expired, and what killed servers left unfinished as long ago."""
        for path in self._directory.glob(f"*{ENDING}*"):
            try:
                if self._old(path):
                    path.unlink()
            except FileNotFoundError:
                pass  # another server was quicker

    def _old(self, path: Path) -> bool:
        return time.time() - path.stat().st_mtime > self.keep_s

    def _path(self, token: str) -> Path:
        digest = hashlib.sha256(token.encode()).hexdigest()
        return self._directory / f"{digest[:32]}{ENDING}"
