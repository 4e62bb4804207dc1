"""What a system said elsewhere: a folder of its recordings, on the samples' clock.

    --agent=recorded --agent_args=path=outputs

A sample's is <path>/<id>.wav or output.wav in a folder <id>, of any rate, one channel, as
long as its input or not; in a folder of Full-Duplex-Bench v2, B.wav. Folders are in <path>
or one or two folders down. Words, where there are any, are those of the .json of the same
name, as that benchmark has them: {"chunks": [{"text": ..., "timestamp": [start, end]}]}.
The first 200 ms are left out: by then nothing can have been heard.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
import soxr

from eval.agent import Heard, Said, Solo
from eval.paced import chosen
from eval.sample import TURN_S, Sample, whole_turns
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE, TURN_SAMPLES

NAMES = ("output.wav", "B.wav")


def _found(folder: Path, id_: str) -> tuple[Path, Path]:
    """Sound, and words that may not be there. Raises InputError without sound."""
    name = glob.escape(id_)
    inside = (place for up in ("", "*/", "*/*/") for place in folder.glob(f"{up}{name}"))
    for wav in (folder / f"{id_}.wav", *(p / w for p in inside for w in NAMES)):
        if wav.is_file():
            return wav, wav.with_suffix(".json")
    raise InputError(f"{folder}: neither {id_}.wav nor {id_}/output.wav")


def _wave(path: Path) -> np.ndarray:
    wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if wave.shape[1] != 1:
        raise InputError(f"{path}: {wave.shape[1]} channels; keep the system's alone")
    return soxr.resample(wave[:, 0], rate, SAMPLE_RATE)


def _words(path: Path) -> list[tuple[float, str]]:
    """(when it begins in seconds, word), in order; none where there is no file."""
    if not path.is_file():
        return []
    try:
        chunks = json.loads(path.read_text())["chunks"]
        return sorted((float(c["timestamp"][0]), str(c["text"])) for c in chunks)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(f"{path}: no words with timestamps ({error!r})") from None


class _Recording:
    def __init__(self, folder: Path, sample: Sample) -> None:
        sound, words = _found(folder, sample.id)
        self._wave = whole_turns(_wave(sound), sample.turns * TURN_S)
        self._words, self._turn = _words(words), 0

    def step(self, heard: Heard) -> Said:
        self._turn += 1
        end = (self._turn + 1) * TURN_S - 1e-6
        text = "".join(f" {word.strip()}" for t, word in self._words if t < end)
        self._words = [(t, word) for t, word in self._words if t >= end]
        wave = self._wave[self._turn * TURN_SAMPLES : (self._turn + 1) * TURN_SAMPLES]
        return Said(np.pad(wave, (0, TURN_SAMPLES - len(wave))), text)

    def close(self) -> None:
        pass


def open(arguments: Mapping[str, str]) -> Solo:
    folder = Path(chosen("recorded", arguments, path="")["path"])
    if not arguments.get("path") or not folder.is_dir():
        raise InputError("--agent_args: recorded takes path=FOLDER, which is there")
    return Solo(f"recorded(path={folder})", lambda s: _Recording(folder, s), slots=16)
