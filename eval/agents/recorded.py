"""What a system said elsewhere: a folder of its recordings, on the samples' clock.

    --agent=recorded --agent_args=path=outputs

A sample's is <path>/<id>.wav or <path>/<id>/output.wav, of any rate, one channel, as long
as its input or not. Words, where there are any, are those of <id>.json or <id>/output.json
as Full-Duplex-Bench has them: {"chunks": [{"text": ..., "timestamp": [start, end]}]}. The
first 200 ms are left out: by then nothing can have been heard.
"""

from __future__ import annotations

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


def _found(folder: Path, id_: str) -> tuple[Path, Path]:
    """Sound, and words that may not be there. Raises InputError without sound."""
    for wav, words in ((f"{id_}.wav", f"{id_}.json"), (f"{id_}/output.wav",
                       f"{id_}/output.json")):  # fmt: skip
        if (folder / wav).is_file():
            return folder / wav, folder / words
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
