"""A directory under way: beside its destination until it is whole, then one rename.

`NAME.partial/` holds the files, `NAME.partial.log` what they are to be and which parts
are done; both are gone when NAME is there. Killed at any moment, the next run of the same
job goes on from the log; another job says so and starts over.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interaction.errors import InputError
from interaction.tensors import Shards, ShardWriter

SYNC_BYTES = 256 << 20  # between two marks of progress in the log


@contextlib.contextmanager
def named_errors(dst: Path) -> Iterator[None]:
    """What the system refuses (a full disk, say), as one line with the mend."""
    try:
        yield
    except OSError as error:
        where = error.filename or dst
        raise InputError(
            f"{where}: {error.strerror}; mend that, or choose another --dst, and run again"
        ) from None


def fingerprint(files: list[Path]) -> dict[str, list[int]]:
    """Size and time of change of every file: whether a source is still the same."""
    return {p.name: [p.stat().st_size, p.stat().st_mtime_ns] for p in files}


class Partial:
    """Write with `writer`, mark what is finished with `finish`, end with `commit`."""

    def __init__(self, dst: Path, plan: dict[str, Any], shards: Shards) -> None:
        if dst.exists():
            raise InputError(f"{dst} exists; choose another --dst or remove it")
        self._dst = dst
        self.path = dst.with_name(dst.name + ".partial")
        self._log_path = dst.with_name(dst.name + ".partial.log")
        dst.parent.mkdir(parents=True, exist_ok=True)
        known = self._log_path.is_file()
        if self.path.exists() and not known:
            raise InputError(f"{self.path} is in the way; remove it, or change --dst")
        self._log = self._log_path.open("a+")
        try:
            fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{dst}: another process is making it; wait for it") from None
        first = json.dumps(plan, sort_keys=True)
        self._log.seek(0)
        lines = self._log.read().split("\n")[:-1]  # the last line may be cut off
        if lines[:1] != [first]:
            if known:
                print(f"{self.path} is of another source or config: starting over")
            lines = self._start_over(first, shards)
        self.path.mkdir(exist_ok=True)
        self.writer = ShardWriter(self.path, shards)
        if not self.writer.kept:
            lines = self._start_over(first, None)
        self.done = set(lines[1:])
        self._pending: list[str] = []
        self._unsynced = 0

    def _start_over(self, first: str, shards: Shards | None) -> list[str]:
        if shards is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            size = sum(e.nbytes for tensors in shards.values() for e in tensors.values())
            free = shutil.disk_usage(self.path.parent).free
            if free < size:
                self._log.close()
                self._log_path.unlink()
                raise InputError(
                    f"{self._dst}: needs {size:,} bytes, {free:,} are free; make room"
                )
        self._log.truncate(0)
        self._log.write(first + "\n")
        self._log.flush()
        return [first]

    def finish(self, name: str, nbytes: int) -> None:
        self._pending.append(name)
        self._unsynced += nbytes
        if self._unsynced > SYNC_BYTES:
            self.sync()

    def sync(self) -> None:
        """Put on disk what is finished, then say so in the log."""
        self.writer.flush()
        self._log.writelines(f"{name}\n" for name in self._pending)
        self._log.flush()
        self.done.update(self._pending)
        self._pending, self._unsynced = [], 0

    def close(self) -> None:
        """Stop here; the next run goes on."""
        self.writer.close()
        self._log.close()

    def commit(self) -> None:
        os.replace(self.path, self._dst)
        self._log.close()
        self._log_path.unlink()
