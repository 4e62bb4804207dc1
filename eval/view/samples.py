"""Every sample in short, for the page's script: both voices' loudness, words, calls,
cut-offs, what was measured, and where to listen."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from eval.record import Record
from eval.results import Figure, Results
from interaction.modality.audio import SAMPLE_RATE

COLUMN_S = 0.05  # of the drawn loudness
LEVELS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
LONGEST = 300  # letters of the truth and of instructions
NUMBERED = re.compile(r"_\d+$")  # columns of a list's items, as of delays
_BLOCK = 1 << 14  # libvorbis has a small stack: long waves are written by the piece


def envelope(wave: np.ndarray) -> str:
    """Loudness, a letter for each 50 ms; silence at the end is left out. Its square root,
    as in the timeline of a session, so that quiet voices stay visible."""
    column = round(COLUMN_S * SAMPLE_RATE)
    peaks = np.abs(np.pad(wave, (0, -len(wave) % column))).reshape(-1, column).max(axis=1)
    levels = np.sqrt(np.minimum(peaks, 1)) * (len(LEVELS) - 1)
    return "".join(LEVELS[level] for level in levels.round().astype(int)).rstrip("0")


def sound(record: Record) -> str:
    """The user on the left, the system on the right, as Ogg Vorbis in base64."""
    both = np.clip(np.stack([record.input, record.output], axis=1), -1, 1)
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", SAMPLE_RATE, 2, "VORBIS", format="OGG", compression_level=0.7
    ) as file:
        for i in range(0, len(both), _BLOCK):
            file.write(both[i : i + _BLOCK])
    return base64.b64encode(buffer.getvalue()).decode()


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def heard(record: Record) -> dict[str, Any]:
    """The half that all runs share."""
    return {
        "s": round(record.seconds, 2),
        "in": envelope(record.input),
        "user": [[text, round(t0, 2), round(t1, 2)] for text, t0, t1 in record.user],
        "truth": _short(record.truth),
        "ask": _short(record.instructions),
        "digest": record.digest,
    }


def said(record: Record, page: Path | None, embed: bool) -> dict[str, Any]:
    """One run's half. page: the directory that links start from; None: without any."""
    short: dict[str, Any] = {"out": envelope(record.output)}
    many: dict[str, list] = {
        "text": [[t, text] for t, text in record.text],
        "calls": [[t, f"{name}({_arguments(args)})"] for t, name, args in record.calls],
        "results": [[t, _short(text)] for t, _, text in record.results],
        "cut": list(record.cleared),
    }
    short |= {key: values for key, values in many.items() if values}
    if embed:
        return short | {"ogg": sound(record)}
    if page is None:
        return short
    return short | {"at": Path(os.path.relpath(record.path, page)).as_posix()}


def _arguments(args: Mapping[str, Any]) -> str:
    return _short(", ".join(f"{key}={json.dumps(value)}" for key, value in args.items()))


def worst(run: Results, task: str, metric: str, n: int) -> list[str]:
    """The n samples in which the run does worst."""
    up = run.figures[task][metric]["higher_is_better"]
    measured = [(value, i) for i, row in run.rows[task].items()
                if (value := row.get(metric)) is not None]  # fmt: skip
    measured.sort(key=lambda pair: -pair[0] if up is False else pair[0])
    return [sample for _, sample in measured[:n]]


def browser(
    name: str, runs: Sequence[Results], page: Path | None, audio: int, most: int | None
) -> dict[str, Any]:
    """A task's samples. audio: in how many of them the sound is kept in the page; most: how
    many of those that were measured are shown, where not all. Both are those in which the
    first run does worst."""
    first = next(run for run in runs if name in run.figures)
    by = next(iter(first.figures[name]))
    listen = worst(first, name, by, audio)
    metrics: dict[str, Figure] = {}
    for run in runs:
        metrics |= dict(run.figures.get(name, {}))
    every = [key for run in runs for row in run.rows.get(name, {}).values() for key in row]
    named = [key for key in every if key in metrics or not NUMBERED.search(key)]
    columns = list(dict.fromkeys(named))
    ids = sorted({sample for run in runs for sample in run.ids(name)})
    if most is not None:
        failed = {sample for run in runs for sample in run.faults.get(name, {})}
        ids = sorted(failed | set(worst(first, name, by, most)))
    return {
        "columns": [_column(key, metrics.get(key, {})) for key in columns],
        "samples": [
            _sample(name, sample, runs, columns, page, sample in listen) for sample in ids
        ],
    }  # fmt: skip


def _column(key: str, figure: Figure) -> list[Any]:
    """Its name, whether more is better (1), less (-1) or neither, and its unit."""
    up = figure.get("higher_is_better")
    return [key, 0 if up is None else 1 if up else -1, figure.get("unit", "")]


def _sample(
    name: str,
    id_: str,
    runs: Sequence[Results],
    columns: list[str],
    page: Path | None,
    embed: bool,
) -> dict[str, Any]:
    sample: dict[str, Any] = {"id": id_}
    each: list[dict[str, Any] | None] = []
    for run in runs:
        row, why = run.rows.get(name, {}).get(id_), run.faults.get(name, {}).get(id_)
        if row is None and why is None:
            each.append(None)
            continue
        one: dict[str, Any] = {"failed": _short(why)} if why is not None else {}
        if row is not None:
            one["row"] = [_rounded(row.get(key)) for key in columns]
        if record := run.record(name, id_):
            shared = heard(record)
            if "digest" not in sample:
                sample |= shared
            elif shared["digest"] != sample["digest"]:
                one["unlike"] = 1
            one |= said(record, page, embed)
        each.append(one)
    sample.pop("digest", None)
    return sample | {"runs": each}


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
