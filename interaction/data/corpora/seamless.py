"""Seamless Interaction (Meta): two people face to face, a set of files for each of them.

Files are named V<vendor>_S<session>_I<interaction>_P<participant>; those that share
vendor, session and interaction belong together. Anywhere below the source directory, as
the download scripts unpack them,

    improvised/train/0000/0005/V00_S0809_I00000582_P0947.wav   48 kHz, this voice alone
    improvised/train/0000/0005/V00_S0809_I00000582_P0947.json  "metadata:transcript"
    improvised/train/0000/0005/V00_S0809_I00000582_P0947.mp4   optional

or as released: audio/*.wav, transcript/*.jsonl, video/*.mp4. A transcript is a list of
{start, end, transcript, words: [{word, start, end, score}]}. Words that the alignment
left without times get the time between their neighbours, shared by letters.

Layout: https://github.com/facebookresearch/seamless_interaction (README).
"""

from __future__ import annotations

import re
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
    files,
    get,
    parse_object,
    read_lines,
    read_text,
    seconds,
)
from interaction.errors import InputError

_NAME = re.compile(r"(V\d+_S\d+_I\d+)_(P\w+)$")
# Folders of the release whose files carry the same names but are no transcripts.
_OTHER = {"1P-IS", "1P-R", "3P-IS", "3P-R", "3P-V", "vad"}

Files = dict[str, Path]  # by ending


def read(src: Path) -> Source:
    """Interactions in the order of their ids."""
    found: dict[str, dict[str, Files]] = {}
    for path in files(src, ".wav", ".json", ".jsonl", ".mp4"):
        match = _NAME.match(path.stem)
        if match and path.parent.name not in _OTHER:
            ending = ".json" if path.suffix == ".jsonl" else path.suffix
            one = found.setdefault(match[1], {}).setdefault(match[2], {})
            one.setdefault(ending, path)
    names = sorted(found)
    return Source(len(names), (Item(n, partial(_load, n, found[n])) for n in names))


def _load(name: str, people: dict[str, Files]) -> Conversation:
    first, *_ = people.values()
    somewhere = next(iter(first.values())).parent
    if len(people) != 2:
        raise InputError(
            f"{somewhere}/{name}_*: {len(people)} participant(s) here, not two; "
            "download both sides of the interaction"
        )
    a, b = names = sorted(people)
    for person in names:
        for ending, what in ((".wav", "sound"), (".json", "transcript")):
            if ending not in people[person]:
                path = somewhere / f"{name}_{person}{ending}"
                raise InputError(f"{path}: no such {what}; download it")
    said = [s for side in (0, 1) for s in _said(side, people[names[side]][".json"])]
    return Conversation(
        name, (Track(people[a][".wav"]), Track(people[b][".wav"])), tuple(said), (a, b),
        video=(people[a].get(".mp4"), people[b].get(".mp4")),
    )  # fmt: skip


def _said(side: int, path: Path) -> list[Said]:
    if path.suffix == ".jsonl":
        segments = [(f"{path}:{number}", one) for number, one in read_lines(path)]
    else:
        held = parse_object(read_text(path), str(path))
        listed = get(held, "metadata:transcript", list, str(path))
        segments = [(f"{path}: segment {i}", one) for i, one in enumerate(listed)]
    said = (_segment(side, segment, place) for place, segment in segments)
    return [one for one in said if one is not None]


def _segment(side: int, segment: Any, place: str) -> Said | None:
    t0 = seconds(get(segment, "start", (int, float), place), place)
    t1 = seconds(get(segment, "end", (int, float), place), place)
    words = segment.get("words") or []
    if not words:
        texts = get(segment, "transcript", str, place).split()
        return Said(side, spread(texts, t0, t1), t0, t1, True) if texts else None
    texts = [get(word, "word", str, place).strip() or "?" for word in words]
    known = [_span(word, place) for word in words]
    return Said(side, spread(texts, t0, t1, known), t0, t1, None in known)


def _span(word: dict, place: str) -> tuple[float, float] | None:
    t0, t1 = word.get("start"), word.get("end")
    if t0 is None or t1 is None or t0 != t0 or t1 != t1:  # NaN: not aligned
        return None
    return seconds(t0, place), seconds(t1, place)
