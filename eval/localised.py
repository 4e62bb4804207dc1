"""When something happens in a video, said aloud: "start" and "stop" at their times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.ears import Ears
from eval.footage import Facts
from eval.formulas.temporal import Interval, iou, recalled
from eval.record import Record
from eval.sample import Fault, Sample, Span
from eval.screening import screening, video
from eval.task import Metric, Row
from eval.utterances import plain
from interaction.errors import InputError

LEAST = (0.3, 0.5, 0.7)
FOLDERS = ("Charades_v1_480", "Charades_v1", "videos")

METRICS = {
    "iou": Metric(up=True, official=True, hears=True,
                   about="mean temporal IoU; 0 without both words"),
    **{
        f"r1_0_{round(10 * least)}": Metric(
            up=True, official=True, hears=True, about=f"R@1: IoU of {least:g} or more")
        for least in LEAST
    },
    "complete": Metric(up=True, hears=True, about="said both words, in order"),
    "start_error": Metric(up=False, hears=True, unit="s", about="of the start, where said"),
}  # fmt: skip


def folder(data: Path) -> Path:
    """Where the videos are. Raises InputError."""
    found = next((data / name for name in FOLDERS if (data / name).is_dir()), None)
    if found is None:
        raise InputError(
            f"--data={data}: no videos; unpack them into {data / FOLDERS[0]}/ID.mp4"
        )
    return found


def sample(
    id_: str, videos: Path, name: str, question: str, interval: Interval
) -> Sample | Fault:
    """interval: seconds of the video."""
    start, stop = interval
    if not 0 <= start < stop:
        return Fault(id_, f"happens from {start:g} to {stop:g} s: no interval")

    def truth(found: Facts) -> Mapping[str, Any]:
        if start >= found.seconds:
            raise ValueError(f"begins at {start:g} s, behind the video's end")
        return {"video": name, "interval": [start, stop]}

    def ideal(told: Mapping[str, Any]) -> Iterator[tuple[float, str]]:
        yield start, "start"
        yield stop, "stop"

    return screening(id_, question, video(videos, name), truth, ideal)


def said(words: Sequence[Span], begin: float) -> Interval | None:
    """From the first "start" in the video to the first "stop" behind it, in seconds of the
    video. None where one is missing."""
    times = [(piece, word.t0 - begin) for word in words for piece in plain(word.text)]
    start = next((t for piece, t in times if piece == "start" and t >= 0), None)
    if start is None:
        return None
    stop = next((t for piece, t in times if piece == "stop" and t > start), None)
    return None if stop is None else (start, stop)


def measure(record: Record, ears: Ears) -> Row:
    found = said(ears.words(record), record.truth["begin"])
    truth = record.truth["interval"][0], record.truth["interval"][1]
    row: dict[str, float | None] = {"iou": iou(found, truth)}
    for least in LEAST:
        row[f"r1_0_{round(10 * least)}"] = float(recalled(found, truth, least))
    return row | {
        "complete": float(found is not None),
        "start_error": None if found is None else abs(found[0] - truth[0]),
    }


def known(agent: str) -> Row | None:
    """What one that never says both words gets."""
    if agent not in ("silent", "parrot", "always_talk"):
        return None
    return dict.fromkeys(METRICS, 0.0) | {"start_error": None}
