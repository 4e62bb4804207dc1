"""Lhotse cuts, as NeMo's duplex models take them: manifests, and shar directories.

`cuts.jsonl` or `cuts.jsonl.gz` (any name, if none has "cuts" in it), a line a conversation:

    {"id": "c1", "start": 0, "duration": 10.7, "channel": 0, "type": "MonoCut",
     "recording": {"sources": [{"type": "file", "channels": [0], "source": "u.wav"}], ...},
     "custom": {"target_audio": {"sources": [{..., "source": "a.wav"}], ...}},
     "supervisions": [{"start": 0, "duration": 5.2, "speaker": "user", "text": "hello",
                       "alignment": {"word": [["hello", 0.1, 0.4, null]]}}]}

`recording` is the user, `target_audio` the agent, and supervisions say user, agent or
assistant. Without `target_audio`, a cut of two channels [0, 1] is taken: each supervision
has its channel, and the agent's is the one of the speaker "agent" or "assistant", if there
is one. Words have times where there is a "word" alignment. A shar directory
(`cuts.000000.jsonl.gz` beside `recording.000000.tar` and `target_audio.000000.tar`) is
read in place. Cuts that Lhotse would compute (mixed, padded, with transforms or features
only) are skipped: save their audio first. Lhotse itself is not needed.

Layout: https://lhotse.readthedocs.io/en/latest/cuts.html and NeMo's
https://docs.nvidia.com/nemo-framework/user-guide/latest/nemotoolkit/speechlm2/datasets.html
"""

from __future__ import annotations

import functools
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from interaction.data.corpora.conversation import (
    Conversation,
    Item,
    Said,
    Source,
    Track,
    spread,
)
from interaction.data.corpora.textfile import (
    beside,
    files,
    get,
    parse_object,
    raw_lines,
    seconds,
)
from interaction.data.dialogue import Word
from interaction.errors import InputError

AGENT = {"agent", "assistant"}
USER = {"user"}


def read(src: Path) -> Source:
    """Cuts in the order of the manifests' names and lines."""
    lists = [src] if src.is_file() else files(src, ".jsonl", ".jsonl.gz")
    named = [path for path in lists if "cuts" in path.name] or lists
    return Source(sum(1 for path in named for _ in raw_lines(path)), _items(named))


def _items(lists: list[Path]) -> Iterator[Item]:
    for path in lists:
        for number, line in raw_lines(path):
            yield Item(f"{path}:{number}", partial(_load, path, number, line))


def _load(path: Path, number: int, line: str) -> Conversation:
    place = f"{path}:{number}"
    cut = parse_object(line, place)
    if cut.get("type", "MonoCut") not in ("MonoCut", "MultiCut"):
        raise InputError(f"{place}: is a {cut['type']}; save its audio and cut that")
    name = get(cut, "id", str, place)
    supervisions = get(cut, "supervisions", list, place)
    target = (cut.get("custom") or {}).get("target_audio")
    if target:
        tracks = (
            _track(path, cut, "recording", get(cut, "recording", dict, place), place),
            _track(path, cut, "target_audio", target, place),
        )
        said = [_said(s, _role(s, place), cut, place) for s in supervisions]
        return Conversation(name, tracks, _all(said), ("user", "agent"), agent=1)
    if cut.get("channel") != [0, 1]:
        raise InputError(f"{place}: has neither target_audio nor two channels; add one")
    recording = get(cut, "recording", dict, place)
    a, b = (
        _track(path, cut | {"channel": c}, "recording", recording, place) for c in (0, 1)
    )
    sides = [_channel(s, place) for s in supervisions]
    said = [_said(s, c, cut, place) for s, c in zip(supervisions, sides, strict=True)]
    names, agent = ["0", "1"], None
    for supervision, side in zip(supervisions, sides, strict=True):
        names[side] = str(supervision.get("speaker") or side)
        agent = side if names[side].lower() in AGENT else agent
    return Conversation(name, (a, b), _all(said), (names[0], names[1]), agent=agent)


def _all(said: list[Said | None]) -> tuple[Said, ...]:
    return tuple(one for one in said if one is not None)


def _role(supervision: Any, place: str) -> int:
    speaker = get(supervision, "speaker", str, place).lower()
    if speaker not in AGENT | USER:
        raise InputError(f"{place}: speaker {speaker!r} is neither user nor agent")
    return int(speaker in AGENT)


def _channel(supervision: Any, place: str) -> int:
    channel = get(supervision, "channel", (int, list), place)
    if channel not in (0, 1, [0], [1]):
        raise InputError(f"{place}: a supervision of channel {channel!r}, not 0 or 1")
    return channel if isinstance(channel, int) else channel[0]


def _said(supervision: Any, side: int, cut: dict, place: str) -> Said | None:
    """Supervisions count from the cut's start; one may begin before it."""
    start = get(supervision, "start", (int, float), place)
    length = seconds(get(supervision, "duration", (int, float), place), place)
    t0, t1 = max(float(start), 0.0), max(start + length, 0.0)
    aligned = (supervision.get("alignment") or {}).get("word")
    if aligned:
        words = tuple(_aligned(item, place) for item in aligned)
        return Said(side, words, min(t0, words[0].t0), max(t1, words[-1].t1))
    texts = (supervision.get("text") or "").split()
    return Said(side, spread(texts, t0, t1), t0, t1, guessed=True) if texts else None


def _aligned(item: Any, place: str) -> Word:
    match item:
        case [str(text), start, length, *_] if text.strip():
            t0 = seconds(start, place)
            return Word(text.strip(), t0, t0 + seconds(length, place))
    raise InputError(f"{place}: alignment {item!r} is not [word, start, duration, score]")


def _track(path: Path, cut: dict, field: str, recording: Any, place: str) -> Track:
    if recording.get("transforms"):
        raise InputError(f"{place}: {field} has transforms; save the audio they make")
    start = seconds(cut.get("start", 0), place)
    length = seconds(get(cut, "duration", (int, float), place), place)
    channel = cut.get("channel", 0) if field == "recording" else 0
    named = {"type": "file", "channels": [0], "source": recording.get("path")}
    for source in recording.get("sources") or [named]:
        channels = source.get("channels") or [0]
        if channel not in channels:
            continue
        at, n = channels.index(channel), len(channels)
        if source.get("type") == "shar":
            tar, data = _member(path, field, get(cut, "id", str, place))
            return Track(tar, at, n, start, length, data=data)
        if source.get("type") != "file" or not isinstance(source.get("source"), str):
            what = f"{field}'s source is {source.get('type')!r}"
            raise InputError(f"{place}: {what}; download it to a file")
        return Track(beside(path, source["source"]), at, n, start, length)
    raise InputError(f"{place}: {field} has no channel {channel}; mend the cut")


def _member(path: Path, field: str, name: str) -> tuple[Path, bytes]:
    """The sound of a cut in its shard's archive: (what to call it, bytes)."""
    shard = path.name.partition(".jsonl")[0].replace("cuts.", f"{field}.", 1)
    tar = path.with_name(f"{shard}.tar")
    held = _contents(tar)
    if name not in held:
        raise InputError(f"{tar}: holds no sound of {name}; export the shar again")
    offset, size = held[name]
    with tar.open("rb") as file:
        file.seek(offset)
        return tar, file.read(size)


@functools.lru_cache(maxsize=4)
def _contents(tar: Path) -> dict[str, tuple[int, int]]:
    """Where each cut's sound lies in an archive."""
    try:
        with tarfile.open(tar) as archive:
            return {
                member.name.rpartition(".")[0]: (member.offset_data, member.size)
                for member in archive
                if not member.name.endswith((".json", ".nodata", ".nometa"))
            }
    except (OSError, tarfile.TarError) as error:
        raise InputError(
            f"{tar}: cannot be read ({error}); export the shar again"
        ) from None
