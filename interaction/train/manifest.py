"""What a checkpoint consists of, written when it is whole: files, sizes, checksums.

Each host hashes its share of the files, and its part of the manifest is the last thing it
writes: `manifest-K-of-N.json`. A directory without all N parts is a save that was cut off.
A host reads each byte of its share once, at about 3.7 GB/s a core for CRC-32 (zlib), in
the background after a save and before a restore; storage is slower than that. 3.3 TB of
state over 64 hosts: 14 s of hashing each.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from pathlib import Path

_PART = re.compile(r"manifest-(\d+)-of-(\d+)\.json")
_CHUNK = 1 << 24


def _checksum(path: Path) -> str:
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            value = zlib.crc32(chunk, value)
    return f"{value:08x}"


def _share(sizes: dict[str, int], part: int, parts: int) -> list[str]:
    """Files of one of several parts, of about as many bytes each."""
    return sorted(sizes, key=lambda name: (-sizes[name], name))[part::parts]


def write(directory: Path, part: int, parts: int) -> None:
    """This part's share of a checkpoint that nothing else writes to any more."""
    files = (p for p in directory.rglob("*") if p.is_file())
    sizes = {
        str(p.relative_to(directory)): p.stat().st_size
        for p in files
        if not p.name.startswith("manifest-")
    }
    entries = {
        name: {"bytes": sizes[name], "crc32": _checksum(directory / name)}
        for name in sorted(_share(sizes, part, parts))
    }
    final = directory / f"manifest-{part}-of-{parts}.json"
    partial = final.with_suffix(".partial")
    with partial.open("w") as file:
        file.write(json.dumps({"files": entries}, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, final)


def is_finished(directory: Path) -> bool:
    """Whether all parts are there; says nothing of the files."""
    found = [_PART.fullmatch(p.name) for p in directory.glob("manifest-*.json")]
    parts = {(int(m[1]), int(m[2])) for m in found if m}
    counts = {n for _, n in parts}
    return len(counts) == 1 and len(parts) == counts.pop()


def faults(directory: Path, part: int = 0, parts: int = 1) -> list[str]:
    """What is wrong with a finished checkpoint, one line a file; empty when it is whole.
    Of several parts, one reads its share."""
    entries: dict[str, dict] = {}
    for path in sorted(directory.glob("manifest-*.json")):
        try:
            entries |= json.loads(path.read_text())["files"]
            sizes = {name: int(entry["bytes"]) for name, entry in entries.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return [f"{path.name} does not read"]
    found = []
    for name in sorted(_share(sizes, part, parts)):
        path = directory / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif path.stat().st_size != sizes[name]:
            found.append(f"{name} has {path.stat().st_size} bytes, not {sizes[name]}")
        elif _checksum(path) != entries[name].get("crc32"):
            found.append(f"{name} has another checksum")
    return found
