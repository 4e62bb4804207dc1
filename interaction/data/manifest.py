"""The one form of two-channel corpora on disk: a JSONL manifest beside its files.

A line is a conversation. Paths are relative to the manifest; all times are seconds.

    {"id": "a1", "sr": 16000, "user_wav": "a1.user.wav", "agent_wav": "a1.agent.wav",
     "video": "a1.mp4", "control": [[3.6, "break"]],
     "events": [{"ch": "user", "t0": 0.3, "t1": 1.6, "text": "say hello",
                 "words": [["say", 0.3, 0.6], ["hello", 0.6, 1.6]]}]}

`video` (a video file, or the frames in .npz) and `control` are optional; without
`control` each agent event ends in a break, or in a clear at its `cut`. `ch` is one of
user, agent, text_in, tool, and in synthetic data also side and background.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast, get_args

import av
import numpy as np
import soundfile

from interaction.data.dialogue import Dialogue, Lane, Utterance, Word
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE, TURN_SAMPLES
from interaction.modality.files import read_audio, write_audio

NAME = "manifest.jsonl"
VIDEO_SIZE = (40, 80)  # height, width of frames read from video files
_TURN_S = TURN_SAMPLES / SAMPLE_RATE
_HALF_PAIR_S = 0.5  # a pair is the frames at t - 0.5 s and t


def read_manifest(path: str | os.PathLike) -> Iterator[Dialogue]:
    """The manifest's conversations in order, at 16 kHz, padded to whole turns.

    `exchanges` stay empty: a corpus does not say what would have been right.
    Raises InputError naming file, line and field for whatever does not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no such manifest: {path}; name a {NAME} file")
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield read_line(path, number, line)
    except UnicodeDecodeError:
        raise InputError(f"not UTF-8 text: {path}; export it as UTF-8") from None


def read_line(path: Path, number: int, text: str) -> Dialogue:
    """The conversation of one line, as `read_manifest` gives it."""
    return _Line(path, number, text).dialogue()


def write_manifest(dialogues: Iterable[Dialogue], directory: str | os.PathLike) -> Path:
    """Write wavs (16 bits), frames and, last of all, the manifest; returns its path.

    Raises InputError for an id that is no file name or comes twice.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    target, temporary = directory / NAME, directory / f".tmp-{os.getpid()}-{NAME}"
    written = set()
    try:
        with temporary.open("w", encoding="utf-8") as file:
            for dialogue in dialogues:
                name = dialogue.id
                if name in written or name in ("", ".", "..") or Path(name).name != name:
                    raise InputError(f"bad id {name!r}: dialogue; give a new file name")
                written.add(name)
                file.write(json.dumps(_record(dialogue, directory)) + "\n")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _record(dialogue: Dialogue, directory: Path) -> dict[str, Any]:
    record: dict[str, Any] = {"id": dialogue.id, "sr": SAMPLE_RATE}
    for side in ("user", "agent"):
        record[f"{side}_wav"] = f"{dialogue.id}.{side}.wav"
        wav = directory / record[f"{side}_wav"]
        write_audio(wav, getattr(dialogue, side), SAMPLE_RATE)
    if dialogue.frames:
        record["video"] = f"{dialogue.id}.frames.npz"
        times, pairs = zip(*dialogue.frames, strict=True)
        temporary = directory / f".tmp-{os.getpid()}-{record['video']}"
        np.savez_compressed(temporary, t=np.array(times), pairs=np.stack(pairs))
        os.replace(temporary, directory / record["video"])
    record["control"] = [list(item) for item in dialogue.control]
    record["events"] = [_event(utterance) for utterance in dialogue.utterances]
    return record


def _event(utterance: Utterance) -> dict[str, Any]:
    event: dict[str, Any] = {
        "ch": utterance.lane,
        "t0": utterance.t0,
        "t1": utterance.t1,
        "text": utterance.text,
        "words": [[word.text, word.t0, word.t1] for word in utterance.words],
    }
    if utterance.cut is not None:
        event["cut"] = utterance.cut
    return event


class _Line:
    """One line of a manifest; every complaint says where it stands."""

    def __init__(self, path: Path, number: int, text: str) -> None:
        self.path, self.number = path, number
        try:
            self.record = json.loads(text)
        except json.JSONDecodeError as error:
            raise self.error("line", f"is not JSON ({error.msg})") from None
        if not isinstance(self.record, dict):
            raise self.error("line", "is not a JSON object")

    def error(self, field: str, what: str) -> InputError:
        return InputError(f"{field} {what}: {self.path}:{self.number}; mend that field")

    def dialogue(self) -> Dialogue:
        user, agent = self.audio("user_wav"), self.audio("agent_wav")
        n = -(-max(len(user), len(agent)) // TURN_SAMPLES) * TURN_SAMPLES
        utterances = self.utterances(n / SAMPLE_RATE)
        control = self.control(n / SAMPLE_RATE)
        if control is None:
            control = control_of(utterances)
        return Dialogue(
            id=self.text(self.record, "id", "id"),
            user=np.pad(user, (0, n - len(user))),
            agent=np.pad(agent, (0, n - len(agent))),
            frames=self.frames(),
            utterances=utterances,
            control=tuple(c for c in control if c[0] < n / SAMPLE_RATE),
        )

    def value(self, holder: dict, key: str, field: str) -> Any:
        if key not in holder:
            raise self.error(field, "is missing")
        return holder[key]

    def text(self, holder: dict, key: str, field: str) -> str:
        value = self.value(holder, key, field)
        if not isinstance(value, str) or not value.strip():
            raise self.error(field, f"must be text, not {value!r}")
        return value

    def items(self, holder: dict, key: str, field: str) -> list:
        value = self.value(holder, key, field)
        if not isinstance(value, list):
            raise self.error(field, f"must be a list, not {value!r}")
        return value

    def seconds(self, value: Any, field: str, low: float, high: float) -> float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise self.error(field, f"must be a number of seconds, not {value!r}")
        if not low - 1e-6 <= value <= high + 1e-6:
            raise self.error(field, f"is {value}, outside {low:.3f}..{high:.3f} s")
        return float(value)

    def file(self, key: str) -> Path:
        path = self.path.parent / self.text(self.record, key, key)
        if not path.is_file():
            raise self.error(key, f"names no file ({path})")
        return path

    def audio(self, key: str) -> np.ndarray:
        rate = self.value(self.record, "sr", "sr")
        if not isinstance(rate, int) or isinstance(rate, bool) or rate <= 0:
            raise self.error("sr", f"must be a sample rate in Hz, not {rate!r}")
        path = self.file(key)
        try:
            wave = read_audio(path)
        except InputError as error:
            raise self.error(key, f"cannot be used ({error})") from None
        if (actual := soundfile.info(path).samplerate) != rate:
            raise self.error("sr", f"is {rate} but {path} has {actual} Hz")
        return wave

    def utterances(self, end: float) -> tuple[Utterance, ...]:
        found = []
        for i, event in enumerate(self.items(self.record, "events", "events")):
            field = f"events[{i}]"
            if not isinstance(event, dict):
                raise self.error(field, f"must be an object, not {event!r}")
            lane = self.text(event, "ch", f"{field}.ch")
            if lane not in get_args(Lane):
                allowed = ", ".join(get_args(Lane))
                raise self.error(f"{field}.ch", f"is {lane!r}, not one of {allowed}")
            t0 = self.seconds(self.value(event, "t0", f"{field}.t0"), f"{field}.t0", 0, end)
            t1 = self.seconds(
                self.value(event, "t1", f"{field}.t1"), f"{field}.t1", t0, end
            )
            cut = event.get("cut")
            if cut is not None:
                cut = self.seconds(cut, f"{field}.cut", t0, end)
            words = self.words(event, field, t0, t1)
            found.append(Utterance(cast(Lane, lane), words, t0, t1, cut))
        return tuple(found)

    def words(self, event: dict, field: str, t0: float, t1: float) -> tuple[Word, ...]:
        """The words with their times; without times, spread over the event."""
        if "words" not in event:
            said = self.text(event, "text", f"{field}.text").split()
            edges = np.linspace(t0, t1, len(said) + 1)
            spans = zip(said, edges[:-1], edges[1:], strict=True)
            return tuple(Word(word, float(a), float(b)) for word, a, b in spans)
        words, at = [], t0
        for j, item in enumerate(self.items(event, "words", f"{field}.words")):
            place = f"{field}.words[{j}]"
            if not (isinstance(item, list) and len(item) == 3 and isinstance(item[0], str)):
                raise self.error(place, f"must be [word, t0, t1], not {item!r}")
            at = self.seconds(item[1], f"{place}[1]", at, t1)
            words.append(Word(item[0], at, self.seconds(item[2], f"{place}[2]", at, t1)))
        return tuple(words)

    def control(self, end: float) -> tuple[tuple[float, str], ...] | None:
        if "control" not in self.record:
            return None
        found = []
        for i, item in enumerate(self.items(self.record, "control", "control")):
            field = f"control[{i}]"
            if not isinstance(item, list) or len(item) != 2:
                raise self.error(field, f"must be [t, kind], not {item!r}")
            if item[1] not in ("clear", "break"):
                raise self.error(field, f"is {item[1]!r}, not 'clear' or 'break'")
            found.append((self.seconds(item[0], field, 0, end), item[1]))
        return tuple(found)

    def frames(self) -> tuple[tuple[float, np.ndarray], ...]:
        if self.record.get("video") is None:
            return ()
        path = self.file("video")
        try:
            if path.suffix == ".npz":
                with np.load(path) as held:
                    times, pairs = held["t"].tolist(), held["pairs"]
                if pairs.dtype != np.uint8 or pairs.shape[1:2] + pairs.shape[4:] != (
                    2,
                    3,
                ):
                    raise ValueError("pairs must be uint8 [n, 2, height, width, 3]")
                return tuple(zip(times, pairs, strict=True))
            return tuple(video_pairs(path))
        except (av.FFmpegError, IndexError, KeyError, OSError, ValueError) as error:
            raise self.error("video", f"cannot be decoded ({error})") from None


def control_of(utterances: tuple[Utterance, ...]) -> tuple[tuple[float, str], ...]:
    """A clear at each cut of the agent; else a break in the first frame after."""
    found = []
    for u in utterances:
        if u.lane == "agent":
            t, kind = (u.t1, "break") if u.cut is None else (u.cut, "clear")
            samples = math.ceil(t * SAMPLE_RATE - 1e-6)
            turn = -(-samples // TURN_SAMPLES)
            found.append((turn * TURN_SAMPLES / SAMPLE_RATE, kind))
    return tuple(sorted(found))


def video_pairs(
    path: Path, size: tuple[int, int] = VIDEO_SIZE, period_s: float = 1.0
) -> Iterator[tuple[float, np.ndarray]]:
    """(t, uint8 [2, height, width, 3]) of a video every `period_s`, itself whole
    micro-turns: the first frames at or after t - 0.5 s (half a period, if shorter) and t.
    """
    height, width = size
    apart = min(_HALF_PAIR_S, period_s / 2)
    t, earlier = period_s, None
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            at = frame.time or 0.0
            if earlier is None:
                if at < t - apart:
                    continue
                earlier = frame.to_ndarray(width=width, height=height, format="rgb24")
            if at >= t:
                later = frame.to_ndarray(width=width, height=height, format="rgb24")
                yield round(t / _TURN_S) * _TURN_S, np.stack([earlier, later])
                t, earlier = t + period_s, None
