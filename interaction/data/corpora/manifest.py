"""This project's own manifests (`interaction.data.manifest`), into shards.

A directory with `manifest.jsonl`, or such a file. The agent's side is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from interaction.data import manifest
from interaction.data.corpora.conversation import Conversation, Item, Said, Source, Track
from interaction.data.corpora.textfile import files, raw_lines

USER, AGENT = 0, 1


def read(src: Path) -> Source:
    """The lines of every manifest.jsonl below the directory, or of that one file."""
    lists = [src] if src.is_file() else files(src, manifest.NAME)
    return Source(sum(1 for path in lists for _ in raw_lines(path)), _items(lists))


def _items(lists: list[Path]) -> Iterator[Item]:
    for path in lists:
        for number, line in raw_lines(path):
            yield Item(f"{path}:{number}", partial(_load, path, number, line))


def _load(path: Path, number: int, line: str) -> Conversation:
    dialogue = manifest.read_line(path, number, line)
    said = tuple(
        Said(
            AGENT if u.lane == "agent" else USER, u.words, u.t0, u.t1,
            lane=None if u.lane in ("user", "agent") else u.lane, cut=u.cut,
        )
        for u in dialogue.utterances
    )  # fmt: skip
    return Conversation(
        dialogue.id,
        (Track(path, wave=dialogue.user), Track(path, wave=dialogue.agent)),
        said,
        ("user", "agent"),
        agent=AGENT,
        frames=dialogue.frames,
        control=dialogue.control,
    )
