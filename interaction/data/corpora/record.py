"""A record: one conversation as bytes that explain themselves.

A record is a msgpack map, so that without this code, too,

    record = msgpack.unpackb(data)
    wave, rate = soundfile.read(io.BytesIO(record["flac"]))   # [N, 2]: a channel a side
    record["said"][0]   # {"side": 0, "t0": .., "t1": .., "times": "given", "words": [..]}

Its keys: `schema`; `id`, `file` (where the sound came from), `speakers` (names of sides 0
and 1), `agents` (sides that may be the agent), `turns` (whole micro-turns of 200 ms),
`flac` (both sides, 16 kHz, 16 bits), `said` (utterances; `times` is "given" or
"interpolated": spread by letters; `lane` and `cut` only where they say something), and
where there are any `control` ([t, kind]) and `frames` (by the side whose camera it is:
[t, earlier picture, later picture], JPEG of videos and PNG of given frames). Times are in
seconds.
"""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import av
import msgpack
import numpy as np
import soundfile
from PIL import Image

from interaction.data.corpora.audio import read_sides
from interaction.data.corpora.conversation import Conversation, Said
from interaction.data.corpora.tidy import tidy
from interaction.data.dialogue import Dialogue, Lane, Utterance, Word
from interaction.data.manifest import control_of, video_pairs
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE, TURN_SAMPLES

SCHEMA = "interaction.record/1"
TURN_S = TURN_SAMPLES / SAMPLE_RATE
_JPEG_QUALITY = 95
_SILENCE = 0.01  # the peak of a channel in which nobody speaks stays below


class Camera(NamedTuple):
    """Which pictures to keep: height and width in pixels, seconds between pairs."""

    height: int
    width: int
    period_s: float


class Encoded(NamedTuple):
    """A record's bytes and what the index counts. speech_s: by side."""

    data: bytes
    turns: int
    agents: list[int]
    speech_s: list[float]
    mended: Counter[str]


def encode(conversation: Conversation, agents: str, camera: Camera | None) -> Encoded:
    """Read, check and pack a conversation. The same input gives the same bytes.

    agents: "corpus" (the agent that it names, else both sides), "both", "first" or
    "second". Raises InputError naming the file that does not fit.
    """
    waves = read_sides(conversation.tracks)
    n = max(len(wave) for wave in waves)
    lengths = len(waves[0]) / SAMPLE_RATE, len(waves[1]) / SAMPLE_RATE
    said, mended = tidy(conversation, lengths)
    sides = _agents(conversation, said, waves, agents)
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "id": conversation.id,
        "file": conversation.tracks[0].path.name,
        "speakers": list(conversation.speakers),
        "agents": sides,
        "turns": -(-n // TURN_SAMPLES),
        "said": [_pack(one) for one in said],
        "flac": _flac(waves, n),
    }
    if conversation.control is not None:
        record["control"] = [list(item) for item in conversation.control]
    if frames := _frames(conversation, sides, camera):
        record["frames"] = frames
    speech = [
        round(sum(one.t1 - one.t0 for one in said if one.side == side and not one.lane), 3)
        for side in (0, 1)
    ]
    data = msgpack.packb(record)
    return Encoded(data, record["turns"], sides, speech, mended)


def _flac(waves: list[np.ndarray], n: int) -> bytes:
    """Both sides as 16-bit FLAC, the shorter one padded; 16-bit sound stays what it was."""
    both = np.zeros((n, 2), np.int16)
    for side, wave in enumerate(waves):
        both[: len(wave), side] = np.clip(np.rint(wave * 32_768), -32_768, 32_767)
    flac = io.BytesIO()
    soundfile.write(flac, both, SAMPLE_RATE, "PCM_16", format="FLAC")
    return flac.getvalue()


def _agents(
    conversation: Conversation, said: list[Said], waves: list[np.ndarray], agents: str
) -> list[int]:
    """Sides that may be the agent. One without words cannot teach speaking; but if the
    corpus names it the agent, and it makes no sound, it teaches to stay silent."""
    asked = {"first": [0], "second": [1], "both": [0, 1], "corpus": [0, 1]}[agents]
    speaking = {one.side for one in said if one.lane is None}
    if agents == "corpus" and (named := conversation.agent) is not None:
        asked = [named]
        if np.abs(waves[named]).max(initial=0.0) < _SILENCE:
            speaking.add(named)
    if not (found := [side for side in asked if side in speaking]):
        path = conversation.tracks[asked[0]].path
        raise InputError(f"{path}: the agent's side has no words; choose another --agent")
    return found


def _pack(said: Said) -> dict[str, Any]:
    packed: dict[str, Any] = {
        "side": said.side,
        "t0": _time(said.t0),
        "t1": _time(said.t1),
        "times": "interpolated" if said.guessed else "given",
        "words": [[w.text, _time(w.t0), _time(w.t1)] for w in said.words],
    }
    optional = {"lane": said.lane, "cut": said.cut}
    return packed | {k: v for k, v in optional.items() if v is not None}


def _time(t: float) -> float:
    return round(float(t), 4)


def _frames(
    conversation: Conversation, agents: list[int], camera: Camera | None
) -> dict[int, list]:
    """Pairs by the side whose camera it is; an agent sees the other side's."""
    if conversation.frames:
        return {1 - agents[0]: [_images(t, pair, "PNG") for t, pair in conversation.frames]}
    found: dict[int, list] = {}
    if camera is None:
        return found
    for side in sorted(1 - agent for agent in agents):
        if (path := conversation.video[side]) is None:
            continue
        try:
            pairs = video_pairs(path, (camera.height, camera.width), camera.period_s)
            found[side] = [_images(t, pair, "JPEG") for t, pair in pairs]
        except (av.FFmpegError, IndexError, OSError) as error:
            raise InputError(f"{path}: does not decode ({error}); copy it again") from None
    return found


def _images(t: float, pair: np.ndarray, kind: str) -> list:
    images = []
    for image in pair:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, kind, quality=_JPEG_QUALITY, subsampling=0)
        images.append(buffer.getvalue())
    return [_time(t), *images]


@dataclass(frozen=True, eq=False)
class Record:
    """A record's map, opened, with the dialogues that are in it."""

    fields: dict[str, Any]

    @classmethod
    def open(cls, data: bytes) -> Record:
        """Raises InputError where the bytes are no record, or one of a later version."""
        try:
            fields = msgpack.unpackb(data, strict_map_key=False)
            schema = fields["schema"]
        except (ValueError, TypeError, KeyError, msgpack.UnpackException):
            raise InputError("record: the bytes are no record; prepare again") from None
        if schema != SCHEMA:
            raise InputError(
                f"record: is {schema}, this code reads {SCHEMA}; prepare again"
            )
        return cls(fields)

    def audio(self, start: int = 0, samples: int | None = None) -> np.ndarray:
        """Samples from `start` on, of both sides. -> float32 [n, 2]"""
        with soundfile.SoundFile(io.BytesIO(self.fields["flac"])) as file:
            if start >= file.frames:
                return np.zeros((0, 2), np.float32)
            file.seek(start)
            return file.read(-1 if samples is None else samples, dtype="float32")

    def dialogue(self, agent: int, start: int = 0, turns: int | None = None) -> Dialogue:
        """The conversation, or `turns` micro-turns of it from turn `start` on, with the
        side `agent` as the agent; silence after the conversation's end.

        A word under way where the window begins or ends keeps its true times, which then
        lie outside: t0 < 0, or t1 past the end.
        """
        turns = self.fields["turns"] - start if turns is None else turns
        both = self.audio(start * TURN_SAMPLES, turns * TURN_SAMPLES)
        both = np.pad(both, ((0, turns * TURN_SAMPLES - len(both)), (0, 0)))
        whole = [self._utterance(said, agent) for said in self.fields["said"]]
        control = self.fields.get("control")
        control = control_of(tuple(whole)) if control is None else control
        begin, end = start * TURN_S, (start + turns) * TURN_S
        return Dialogue(
            id=f"{self.fields['id']}/{self.fields['speakers'][agent]}@{start}",
            user=np.ascontiguousarray(both[:, 1 - agent]),
            agent=np.ascontiguousarray(both[:, agent]),
            frames=tuple(
                (_grid(t - begin), np.stack([_image(a), _image(b)]))
                for t, a, b in self.fields.get("frames", {}).get(1 - agent, ())
                if begin - 1e-6 <= t < end - 1e-6
            ),
            utterances=tuple(
                _moved(u, begin, end) for u in whole if u.t1 > begin and u.t0 < end
            ),
            control=tuple(
                (_grid(t - begin), kind)
                for t, kind in control
                if begin + 1e-6 < t < end + 1e-6
            ),
        )

    def _utterance(self, said: dict[str, Any], agent: int) -> Utterance:
        own: Lane = "agent" if said["side"] == agent else "user"
        words = tuple(Word(*word) for word in said["words"])
        return Utterance(
            said.get("lane", own), words, said["t0"], said["t1"], said.get("cut")
        )


def _grid(t: float) -> float:
    return round(t / TURN_S) * TURN_S


def _image(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _moved(u: Utterance, begin: float, end: float) -> Utterance:
    """On the window's clock; of its words, those that sound inside."""
    words = tuple(
        Word(w.text, w.t0 - begin, w.t1 - begin)
        for w in u.words
        if w.t1 > begin and w.t0 < end
    )
    cut = None if u.cut is None else min(max(u.cut, begin), end) - begin
    return Utterance(u.lane, words, max(u.t0, begin) - begin, min(u.t1, end) - begin, cut)
