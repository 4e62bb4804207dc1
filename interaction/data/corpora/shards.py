"""Shards of records on disk, written so that kill -9 costs no more than the last shard.

A prepared directory:

    part-00000.array_record   records (see `record`), ArrayRecord, one a group
    shards.jsonl              what was asked for, then a line a shard: a journal while
                              writing, the table of contents afterwards
    index.json                written last: counts, hours, what was skipped and why

A shard is written under a temporary name, synced and renamed, and then its line is added to
the journal. Writing goes on after the last whole line; a shard without a line is written
again, to the same bytes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from array_record.python.array_record_module import ArrayRecordWriter

from interaction.data.corpora.record import TURN_S, Encoded
from interaction.errors import InputError

SCHEMA = "interaction.corpus/1"
JOURNAL, INDEX = "shards.jsonl", "index.json"
_PART = "part-{:05d}.array_record"
# One record a group: a row reads one record. Sound and pictures are compressed already.
_OPTIONS = "group_size:1,uncompressed"

Line = dict[str, Any]


def read_journal(directory: Path) -> Iterator[Line]:
    """The header, then the lines of whole shards; an unfinished last line is no line."""
    with (directory / JOURNAL).open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            yield json.loads(line)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ShardWriter:
    """Records and skipped items into a directory, in the order of the items.

    header: what was asked for; a directory that was begun with another one is refused.
    `done` and `last` are how many items the directory has already dealt with, and the name
    of the last of them; `records`, `turns` and `skipped` count what came of them.

    A context: leaving it on an exception removes the shard under way.
    """

    def __init__(self, directory: Path, header: Line, shard_bytes: int) -> None:
        self._directory, self._shard_bytes = directory, shard_bytes
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._journal = (directory / JOURNAL).open("a+b")
        except OSError as error:
            raise InputError(
                f"{directory}: {error.strerror}; choose another --dst"
            ) from None
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{directory}: another process prepares it; wait") from None
        except OSError:
            pass  # some network file systems have no locks
        for path in directory.glob(".tmp-*"):  # of a run that was killed
            path.unlink()
        self._shards, self.done, self.last = 0, 0, ""
        self.records, self.turns, self.skipped = 0, 0, 0
        self._begin(header)
        self._writer: Any = None
        self._clear()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and self._writer is not None:
            self._writer.close()
            self._temporary.unlink(missing_ok=True)
        self._journal.close()

    def _begin(self, header: Line) -> None:
        lines = read_journal(self._directory)
        found = next(lines, None)
        if found is None:
            self._journal.truncate(0)
            self._append(header)
            return
        if found != header:
            keys = [k for k in sorted(found | header) if found.get(k) != header.get(k)]
            raise InputError(
                f"{self._directory}: was begun with another {', '.join(keys)} "
                f"({', '.join(str(found.get(k)) for k in keys)}); choose another --dst"
            )
        for line in lines:
            if line["shard"] is not None:
                self._check(line)
                self._shards += 1
            self.done, self.last = line["items"], line["last"]
            self.records += len(line["turns"])
            self.turns += sum(line["turns"])
            self.skipped += len(line["skipped"])
        content = (self._directory / JOURNAL).read_bytes()
        self._journal.truncate(content.rfind(b"\n") + 1)

    def _check(self, line: Line) -> None:
        path = self._directory / line["shard"]
        if not path.is_file() or path.stat().st_size != line["bytes"]:
            raise InputError(f"{path}: is missing or was changed; prepare another --dst")

    def _clear(self) -> None:
        self._bytes = 0
        self._line: Line = {"turns": [], "agents": [], "speech_s": [], "skipped": []}
        self._mended: Counter[str] = Counter()

    def add(self, name: str, record: Encoded) -> None:
        """A record of the next item."""
        if self._writer is None:
            self._writer = ArrayRecordWriter(str(self._temporary), _OPTIONS)
        self._writer.write(record.data)
        self._line["turns"].append(record.turns)
        self._line["agents"].append(record.agents)
        self._line["speech_s"].append(record.speech_s)
        self._mended += record.mended
        self._count(name)
        self.records += 1
        self.turns += record.turns
        self._bytes += len(record.data)
        if self._bytes >= self._shard_bytes:
            self._finish_shard()

    def skip(self, name: str, reason: str) -> None:
        """The next item cannot be used."""
        self._line["skipped"].append([name, reason])
        self._count(name)
        self.skipped += 1

    def _count(self, name: str) -> None:
        self.done, self.last = self.done + 1, name

    @property
    def _temporary(self) -> Path:
        return self._directory / f".tmp-{os.getpid()}-{_PART.format(self._shards)}"

    def _finish_shard(self) -> None:
        line: Line = {"shard": None, "items": self.done, "last": self.last}
        if self._writer is not None:
            self._writer.close()
            path = self._directory / _PART.format(self._shards)
            _sync(self._temporary)
            os.replace(self._temporary, path)
            _sync(self._directory)
            line |= {"shard": path.name, "bytes": path.stat().st_size}
            line["sha256"] = sha256(path)
            self._shards += 1
        self._append(line | self._line | {"mended": dict(sorted(self._mended.items()))})
        self._writer = None
        self._clear()

    def _append(self, line: Line) -> None:
        self._journal.write(json.dumps(line).encode() + b"\n")
        self._journal.flush()
        os.fsync(self._journal.fileno())

    def finish(self, command: str) -> Line:
        """Close the last shard and write the index; returns it."""
        if self._line["turns"] or self._line["skipped"]:
            self._finish_shard()
        index = summarise(self._directory, command)
        temporary = self._directory / f".tmp-{os.getpid()}-{INDEX}"
        temporary.write_text(json.dumps(index, indent=1) + "\n")
        _sync(temporary)
        os.replace(temporary, self._directory / INDEX)
        return index

    def discard(self) -> None:
        """Forget a directory in which there is not one record."""
        (self._directory / JOURNAL).unlink()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def summarise(directory: Path, command: str) -> Line:
    """The index of what the journal lists. Speech is counted once for each dialogue: a
    conversation of which both sides may be the agent is two."""
    lines = read_journal(directory)
    header = next(lines)
    counts: Counter[str] = Counter()
    mended: Counter[str] = Counter()
    speech = {"agent": 0.0, "user": 0.0}
    skipped: list[dict[str, str]] = []
    for line in lines:
        counts["shards"] += line["shard"] is not None
        counts["bytes"] += line.get("bytes", 0)
        skipped += [{"item": name, "reason": reason} for name, reason in line["skipped"]]
        mended += Counter(line["mended"])
        rows = zip(line["turns"], line["agents"], line["speech_s"], strict=True)
        for turns, agents, sides in rows:
            counts["conversations"] += 1
            counts["dialogues"] += len(agents)
            counts["turns"] += turns
            counts["dialogue_turns"] += turns * len(agents)
            for agent in agents:
                speech["agent"] += sides[agent]
                speech["user"] += sides[1 - agent]
    hours = lambda turns: round(turns * TURN_S / 3600, 4)  # noqa: E731
    return header | {
        "command": command,
        **{
            name: counts[name] for name in ("conversations", "dialogues", "shards", "bytes")
        },
        "hours": hours(counts["turns"]),
        "dialogue_hours": hours(counts["dialogue_turns"]),
        "speech_s": {lane: round(total, 1) for lane, total in speech.items()},
        "mended": dict(sorted(mended.items())),
        "skipped": skipped,
    }
