"""Stereo files with word times: what Kyutai's moshi-finetune takes.

    data.jsonl            a line a conversation: {"path": "stereo/a.wav", "duration": 24.5}
    stereo/a.wav          left channel the agent, right channel the user
    stereo/a.json         {"alignments": [["hello", [0.31, 0.62], "SPEAKER_MAIN"], ...]}

SPEAKER_MAIN is the agent; any other name is the user. moshi-finetune's own `annotate.py`
transcribes the left channel only: then the user's words are missing, and training has to
do without them (config.train.heard_weight = 0). Paths count from the jsonl's directory or
one above it.

Layout: https://github.com/kyutai-labs/moshi-finetune (README, "Prepare dataset").
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from interaction.data.corpora.conversation import (
    Conversation,
    Item,
    Source,
    Track,
    utterances,
)
from interaction.data.corpora.textfile import (
    beside,
    files,
    get,
    parse_object,
    raw_lines,
    read_text,
    seconds,
)
from interaction.data.dialogue import Word
from interaction.errors import InputError

MAIN = "SPEAKER_MAIN"


def read(src: Path) -> Source:
    """The lines of every .jsonl below the directory, or of that one file."""
    lists = [src] if src.is_file() else files(src, ".jsonl")
    return Source(sum(1 for path in lists for _ in raw_lines(path)), _items(lists))


def _items(lists: list[Path]) -> Iterator[Item]:
    for path in lists:
        for number, line in raw_lines(path):
            yield Item(f"{path.name}:{number}", partial(_load, path, number, line))


def _load(manifest: Path, number: int, line: str) -> Conversation:
    place = f"{manifest}:{number}"
    sound = beside(manifest, get(parse_object(line, place), "path", str, place))
    path = sound.with_suffix(".json")
    listed = get(parse_object(read_text(path), str(path)), "alignments", list, str(path))
    words: tuple[list[Word], list[Word]] = ([], [])
    for i, item in enumerate(listed):
        side, word = _word(item, f"{path}: alignments[{i}]")
        words[side].append(word)
    said = tuple(one for side in (0, 1) for one in utterances(side, words[side]))
    tracks = Track(sound, 0, 2), Track(sound, 1, 2)
    return Conversation(sound.stem, tracks, said, ("agent", "user"), agent=0)


def _word(item: object, place: str) -> tuple[int, Word]:
    match item:
        case [str(text), [t0, t1], str(speaker)] if text.strip():
            word = Word(text.strip(), seconds(t0, place), seconds(t1, place))
            return int(speaker != MAIN), word
    raise InputError(f"{place}: {item!r} is not [word, [t0, t1], speaker]; mend it")
