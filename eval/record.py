"""One sample's run on disk: what was heard, what was said, and when.

    <run>/<task>/<sample>/input.wav, output.wav   PCM16, 16 kHz, one clock
                          sample.json             `Sample.described`, and its digest
                          said.json               text, calls, cut-offs, milliseconds
    <run>/<task>/<sample>/failed.json             in place of all: {"why": ...}

A folder is written beside its place and renamed, so one that is there is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from eval.agent import Result, Said
from eval.footage import Footage
from eval.sample import TURN_S, Call, Fault, Sample, Span
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE


@dataclass(frozen=True, eq=False)
class Record:
    """input, output: float32 [N] at 16 kHz, on one clock; text: (t, text written for the
    turn that plays from t on); calls; results: (t, tool, text); cleared: when playback
    was cut; compute_ms: of every turn, None where not known; behind_ms: in real time, from
    a turn's end until its answer was there; unknown: as a `Sample` has it."""

    id: str
    input: np.ndarray
    output: np.ndarray
    user: tuple[Span, ...]
    truth: dict[str, Any]
    instructions: str
    text: tuple[tuple[float, str], ...]
    calls: tuple[Call, ...]
    results: tuple[tuple[float, str, str], ...]
    cleared: tuple[float, ...]
    compute_ms: tuple[float | None, ...]
    behind_ms: tuple[float, ...]
    digest: str
    path: Path
    unknown: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return len(self.input) / SAMPLE_RATE

    @property
    def transcript(self) -> str:
        """All that was written, spaces tidied."""
        return " ".join("".join(text for _, text in self.text).split())


def digest(sample: Sample) -> str:
    """SHA-256 of all that a system is given, and the truth."""
    h = hashlib.sha256(json.dumps(sample.described(), sort_keys=True).encode())
    h.update(np.ascontiguousarray(sample.audio, np.float32).tobytes())
    if isinstance(sample.frames, Footage):
        h.update(sample.frames.sha256())
        return h.hexdigest()
    for t, pair in sample.frames:
        h.update(f"{t:.3f} {pair.shape}".encode())
        h.update(np.ascontiguousarray(pair).tobytes())
    return h.hexdigest()


class Log:
    """What is said while a sample runs; `keep` stores it."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.said: list[Said] = []
        self.results: list[tuple[float, Result]] = []
        self.behind_ms: list[float] = []

    def keep(self, place: Path) -> None:
        frames = [np.zeros_like(self.said[0].audio), *(said.audio for said in self.said)]
        output = np.concatenate(frames)[: len(self.sample.audio)]
        at = [round((k + 1) * TURN_S, 3) for k in range(len(self.said))]
        both = list(zip(at, self.said, strict=True))
        said = {
            "text": [[t, s.text] for t, s in both if s.text],
            "calls": [[t, name, args] for t, s in both for name, args in s.calls],
            "results": [[round(t, 3), r.call.name, r.text] for t, r in self.results],
            "cleared": [t for t, s in both if s.cleared],
            "compute_ms": [_short(s.compute_ms) for s in self.said],
            "behind_ms": [_short(ms) for ms in self.behind_ms],
        }
        about = self.sample.described() | {"sha256": digest(self.sample)}
        with _Folder(place) as folder:
            for name, wave in (("input", self.sample.audio), ("output", output)):
                soundfile.write(folder / f"{name}.wav", np.clip(wave, -1, 1), SAMPLE_RATE)
            (folder / "sample.json").write_text(json.dumps(about, indent=1))
            (folder / "said.json").write_text(json.dumps(said))


def _short(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 3)


def keep_fault(place: Path, fault: Fault) -> None:
    with _Folder(place) as folder:
        (folder / "failed.json").write_text(json.dumps({"why": fault.why}))


class _Folder:
    """A folder that is there when it is whole; replaces one that was there."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._new = place.with_name(f".tmp-{os.getpid()}-{place.name}")

    def __enter__(self) -> Path:
        self._new.mkdir(parents=True)
        return self._new

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            shutil.rmtree(self._place, ignore_errors=True)
            os.replace(self._new, self._place)
        else:
            shutil.rmtree(self._new, ignore_errors=True)


def load(place: Path) -> Record | Fault:
    """A stored sample. One that cannot be read is a fault, not the end of the run."""
    failed = place / "failed.json"
    try:
        if failed.exists():
            return Fault(place.name, str(json.loads(failed.read_text())["why"]))
        about = json.loads((place / "sample.json").read_text())
        said = json.loads((place / "said.json").read_text())
        waves = {name: _wave(place / f"{name}.wav") for name in ("input", "output")}
        return Record(
            id=about["id"], **waves,
            user=tuple(Span(*span) for span in about["user"]),
            truth=about["truth"], instructions=about["instructions"],
            text=tuple((t, text) for t, text in said["text"]),
            calls=tuple(Call(*call) for call in said["calls"]),
            results=tuple((t, name, text) for t, name, text in said["results"]),
            cleared=tuple(said["cleared"]), compute_ms=tuple(said["compute_ms"]),
            behind_ms=tuple(said["behind_ms"]), digest=about["sha256"], path=place,
            unknown=tuple(about.get("unknown", ())),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        return Fault(place.name, f"{place}: cannot be read ({error})")


def _wave(path: Path) -> np.ndarray:
    wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE or wave.shape[1] != 1:
        raise ValueError(f"{path.name} is {wave.shape[1]} channels at {rate} Hz")
    return wave[:, 0]


def stored(run: Path, task: str) -> Iterator[Path]:
    """Folders of a task's samples, in order of their names."""
    folder = run / task
    if not folder.is_dir():
        raise InputError(f"{folder}: no such run; `python -m eval run` makes one")
    yield from sorted(p for p in folder.iterdir() if not p.name.startswith("."))
