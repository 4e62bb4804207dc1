"""Search in the words of a folder's text files.

What is found are files, ranked by bm25, with the passage that fits. The index is SQLite's,
in a temporary database; before each search it is brought up to date.
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from interaction.background.protocol import ToolSpec
from interaction.background.toolbox import Result
from interaction.errors import InputError

ENDINGS = {".md", ".markdown", ".rst", ".text", ".txt"}
LARGEST = 1 << 20  # bytes of a file
MOST = 10_000  # files
FOUND = 5
WORDS = 32  # of a query, and of a snippet
TABLE = "create virtual table file using fts5 "
TABLE += "(name, body, tokenize='porter unicode61 remove_diacritics 2')"
SEARCH = f"select name, snippet(file, 1, '', '', ' … ', {WORDS}) from file "
SEARCH += f"where file match ? order by bm25(file) limit {FOUND}"


class Version(NamedTuple):
    """Of a file: another one, another text."""

    changed_ns: int
    size: int
    inode: int


class Seen(NamedTuple):
    version: Version
    row: int | None  # None: not indexed


class Folder:
    """Raises InputError where there is no folder. Files that are hidden, huge or no UTF-8
    text are left out, and so are links to folders, or to files outside."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise InputError(f"{root} is no folder; give one with text files")
        self._root = root.resolve()
        self.spec = ToolSpec(
            "folder",
            f"Searches the user's text files in the folder {self._root.name} for words. "
            "Gives names of files and passages.",
            {
                "type": "object",
                "properties": {
                    "query": {"type": "string", "minLength": 1, "maxLength": 500}
                },
                "required": ["query"],
                "additionalProperties": False,
            },
        )
        self._lock = threading.Lock()  # one thread at a time has the database
        self._seen: dict[str, Seen] = {}
        self._db = sqlite3.connect("", check_same_thread=False)  # a file that has no name
        self._db.execute(TABLE)
        self._refresh()

    async def call(self, arguments: dict[str, Any]) -> Result:
        words = re.findall(r"\w+", arguments["query"])[:WORDS]
        if not words:
            raise InputError("query: holds no words; give some")
        # Quoted, so that no word is an operator; any of them will do, the more the better.
        query = " OR ".join(f'"{word}"' for word in words)
        return await asyncio.to_thread(self._search, query)

    def _search(self, query: str) -> Result:
        with self._lock:
            self._refresh()
            found = self._db.execute(SEARCH, (query,)).fetchall()
            files = sum(seen.row is not None for seen in self._seen.values())
        if not found:
            return Result(f"nothing found in {files} files")
        return Result(
            "\n\n".join(f"{name}: {' '.join(text.split())}" for name, text in found)
        )

    def _refresh(self) -> None:
        """Read what is new or has changed, forget what is gone."""
        there = dict(self._files())
        with self._db:
            for name in [name for name in self._seen if name not in there]:
                self._forget(name)
            for name, version in there.items():
                if name not in self._seen or self._seen[name].version != version:
                    self._forget(name)
                    self._seen[name] = Seen(version, self._add(name))

    def _forget(self, name: str) -> None:
        seen = self._seen.pop(name, None)
        if seen and seen.row is not None:
            self._db.execute("delete from file where rowid = ?", (seen.row,))

    def _add(self, name: str) -> int | None:
        text = read(self._root, name)
        if text is None:
            return None
        added = self._db.execute("insert into file values (?, ?)", (name, text))
        return added.lastrowid

    def _files(self) -> Iterator[tuple[str, Version]]:
        """By name: the first so many of a folder that has more."""
        n = 0
        for at, folders, names in os.walk(self._root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for path in (Path(at, name) for name in sorted(names)):
                if n < MOST and path.suffix.lower() in ENDINGS and path.name[0] != ".":
                    if version := self._version(path):
                        n += 1
                        yield str(path.relative_to(self._root)), version

    def _version(self, path: Path) -> Version | None:
        try:
            if not path.resolve().is_relative_to(self._root):
                return None
            found = path.stat()
        except (OSError, RuntimeError):  # gone, or links in a circle
            return None
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
            return None
        return Version(found.st_mtime_ns, found.st_size, found.st_ino)

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._lock:
            self._db.close()


def read(root: Path, name: str) -> str | None:
    """None where it is no text, or cannot be read. Whatever took its place since it was
    looked at: no link out is followed, and no pipe waited for."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            return None
        with open(os.open(path, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            data = file.read(LARGEST + 1)
        text = data.decode()
    except (OSError, RuntimeError, UnicodeDecodeError):
        return None
    return None if "\0" in text or len(data) > LARGEST else text
