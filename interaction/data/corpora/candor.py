"""CANDOR: video calls between strangers, 1,656 of half an hour.

A directory a conversation, named by its id:

    ID/metadata.json                            speakers: [{user_id, channel: L or R}, ...]
    ID/transcription/transcript_backbiter.csv   or ..._cliffhanger, ..._audiophile
    ID/processed/ID.mp3                         both voices, left and right
    ID/processed/USER_ID.mp4                    the camera and voice of each speaker

A transcript's columns that are read: speaker (a user_id), start, stop, utterance, and in
`backbiter` also backchannel, backchannel_speaker, backchannel_start and _stop: what the
listener said meanwhile ("mhm"), which becomes an utterance of the listener. Backbiter is
taken where it is there. The words' own times are not given; they are spread by letters.
Where the mp3 is missing or mono, each speaker's voice comes from their mp4.

Layout: https://www.science.org/doi/10.1126/sciadv.adf3197 (data dictionary), as listed by
https://convokit.cornell.edu/documentation/candor.html; `channel` in metadata.json and the
files under processed/ are known from code that reads them, not from a specification.
"""

from __future__ import annotations

import csv
import io
from functools import partial
from pathlib import Path

import av
import soundfile

from interaction.data.corpora.conversation import (
    Conversation,
    Item,
    Said,
    Source,
    Track,
    spread,
)
from interaction.data.corpora.textfile import files, get, parse_object, read_text, seconds
from interaction.errors import InputError

TRANSCRIPTS = ("backbiter", "cliffhanger", "audiophile")


def read(src: Path) -> Source:
    """Conversations in the order of their directories' names."""
    folders = [path.parent for path in files(src, "metadata.json")]
    have = set(folders)
    for path in files(src, *(f"transcript_{name}.csv" for name in TRANSCRIPTS)):
        if path.parent.parent not in have:  # its metadata is missing: said when loaded
            have.add(path.parent.parent)
            folders.append(path.parent.parent)
    folders.sort()
    return Source(len(folders), (Item(f.name, partial(_load, f)) for f in folders))


def _load(folder: Path) -> Conversation:
    path = folder / "metadata.json"
    metadata = parse_object(read_text(path), str(path))
    speakers = get(metadata, "speakers", list, str(path))
    if len(speakers) != 2:
        raise InputError(f"{path}: has {len(speakers)} speakers; a conversation has two")
    by_channel = {get(s, "channel", str, str(path)): s for s in speakers}
    if sorted(by_channel) != ["L", "R"]:
        raise InputError(f"{path}: channels are {sorted(by_channel)}, not L and R")
    a, b = (get(by_channel[c], "user_id", (str, int), str(path)) for c in "LR")
    names = (str(a), str(b))
    videos = [folder / "processed" / f"{name}.mp4" for name in names]
    seen = [video if video.is_file() else None for video in videos]
    return Conversation(
        folder.name, _tracks(folder, videos), _said(folder, names), names,
        video=(seen[0], seen[1]),
    )  # fmt: skip


def _tracks(folder: Path, videos: list[Path]) -> tuple[Track, Track]:
    for path in files(folder / "processed", ".mp3", ".wav"):
        if path.stem == folder.name and _channels(path) == 2:
            return Track(path, 0, 2), Track(path, 1, 2)
    missing = next((video for video in videos if not video.is_file()), None)
    if missing is not None:
        raise InputError(
            f"{missing}: no such file, and no stereo {folder.name}.mp3 beside it; "
            "download the conversation's media"
        )
    a, b = (Track(video, 0, _soundtrack_channels(video)) for video in videos)
    return a, b


def _channels(path: Path) -> int:
    try:
        return soundfile.info(path).channels
    except soundfile.LibsndfileError:
        raise InputError(f"{path}: is no sound file; copy it again") from None


def _soundtrack_channels(video: Path) -> int:
    """Both channels of a speaker's own video carry the one voice; the first is taken."""
    try:
        with av.open(str(video)) as container:
            return container.streams.audio[0].channels
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{video}: no soundtrack decodes ({error})") from None


def _said(folder: Path, names: tuple[str, str]) -> tuple[Said, ...]:
    paths = [folder / "transcription" / f"transcript_{t}.csv" for t in TRANSCRIPTS]
    path = next((p for p in paths if p.is_file()), None)
    if path is None:
        raise InputError(f"{paths[0]}: no transcript; add transcription/")
    table = csv.DictReader(io.StringIO(read_text(path)))
    wanted = {"speaker", "start", "stop", "utterance"}
    if not wanted <= set(table.fieldnames or ()):
        raise InputError(f"{path}:1: columns are {table.fieldnames}, not {sorted(wanted)}")
    said: list[Said] = []
    for row in table:
        place = f"{path}:{table.line_num}"
        side = _side(row["speaker"], names, place)
        said += _one(side, row["utterance"], row["start"], row["stop"], place)
        if (row.get("backchannel") or "").strip():
            said += _one(
                1 - side, row["backchannel"], row.get("backchannel_start"),
                row.get("backchannel_stop"), place,
            )  # fmt: skip
    return tuple(said)


def _side(speaker: str | None, names: tuple[str, str], place: str) -> int:
    if speaker not in names:
        raise InputError(f"{place}: speaker {speaker!r} is not in metadata.json")
    return names.index(speaker)


def _one(
    side: int, text: str | None, start: str | None, stop: str | None, place: str
) -> list[Said]:
    words = (text or "").split()
    if not words:
        return []
    t0, t1 = seconds(start, place), seconds(stop, place)
    if t1 < t0:
        raise InputError(f"{place}: stops at {t1} s, before it starts; mend that line")
    return [Said(side, spread(words, t0, t1), t0, t1, guessed=True)]
