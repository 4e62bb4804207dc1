"""A small tree in Full-Duplex-Bench's layout, whose truth is known by construction."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from eval import run, task
from eval.agent import Heard, Said, Solo
from eval.sample import Sample
from eval.task import Asked
from eval.voice import Mouth
from interaction.data.espeak import agent_speech

SECONDS = 7.1  # no whole number of turns
V1_5 = ("user_interruption", "user_backchannel", "talking_to_other", "background_speech")


def wave(
    rate: int, spoken: list[tuple[float, str]], seconds: float = SECONDS
) -> np.ndarray:
    """Words from given times on, in float32 [N] at `rate`."""
    out = np.zeros(round(seconds * rate), np.float32)
    for t, text in spoken:
        said = agent_speech(text.split()).wave
        at = np.arange(round(len(said) * rate / 16000)) * 16000 / rate
        piece = np.interp(at, np.arange(len(said)), said)[: len(out) - round(t * rate)]
        out[round(t * rate) : round(t * rate) + len(piece)] += piece
    return out


def write(
    folder: Path, files: dict[str, Any], wavs: dict[str, np.ndarray], rate: int
) -> None:
    folder.mkdir(parents=True)
    for name, what in files.items():
        (folder / name).write_text(json.dumps(what))
    for name, samples in wavs.items():
        soundfile.write(folder / name, samples, rate, subtype="PCM_16")


def tree(root: Path, n: int = 2, rates: tuple[int, ...] = (16000, 48000)) -> Path:
    """n samples of every subset, at these rates in turn."""
    for i in range(n):
        rate, late = rates[i % len(rates)], 0.05 * i
        said = [(0.3, "red blue"), (2.0 + late, "green red")]
        plain = {"input.wav": wave(rate, said)}
        pause = [{"text": "[PAUSE]", "timestamp": [1.2, 2.0 + late]}]
        for subset in ("candor_pause_handling", "synthetic_pause_handling"):
            write(root / "v1_0" / subset / f"{i + 1}", {"pause.json": pause}, plain, rate)
        end = 3.1 + late
        turn = [{"text": "[TURN-TAKING]", "timestamp": [end, end + 0.4]}]
        write(root / "v1_0" / "candor_turn_taking" / f"{i + 1}", {"turn_taking.json": turn},
              plain, rate)  # fmt: skip
        write(root / "v1_0" / "icc_backchannel" / f"{i}", {}, plain, rate)
        cut_in = [{"context": "red blue", "interrupt": "green red",
                   "timestamp": [2.0 + late, end]}]  # fmt: skip
        write(root / "v1_0" / "synthetic_user_interruption" / f"{i + 1}",
              {"interrupt.json": cut_in}, plain, rate)  # fmt: skip
        about = {"context_text": "red blue", "current_turn_text": "green red",
                 "timestamps": [2.0 + late, end]}  # fmt: skip
        both = plain | {"clean_input.wav": wave(rate, said[:1])}
        for subset in V1_5:
            write(root / "v1_5" / subset / f"{i + 1}", {"metadata.json": about}, both, rate)
    return root


def checkout(root: Path, n: int = 2) -> Path:
    """A checkout that has when people backchannelled, and prompts; no scripts."""
    place = root / "v1_v1.5" / "evaluation"
    (place / "instruction").mkdir(parents=True)
    people = {str(i): [0.1, 0.2 + i / 10, 0.3, 0.1, 0.3 - i / 10] for i in range(n)}
    (place / "icc_gt_distribution.json").write_text(json.dumps(people))
    (place / "instruction" / "behavior.txt").write_text("Which of the four was it?")
    (place / "eval_user_interruption.py").write_text(
        'def rate():\n    system_msg = """Rate it."""\n    user_msg = f"""'
        "{in_before_interrupt_text} | {in_interrupt_text} | {out_after_interrupt_text}"
        '"""\n'
    )
    return root


class Chatter:
    """Says some words now and then, of which a sample's name decides; or nothing."""

    def __init__(self, sample: Sample) -> None:
        self._mouth = Mouth()
        self._rng = np.random.default_rng(zlib.crc32(sample.id.encode()))
        self._eager = self._rng.choice([0.0, 0.03, 0.06, 0.15])

    def step(self, heard: Heard) -> Said:
        if self._rng.random() < self._eager and not self._mouth.busy:
            n = self._rng.choice([1, 1, 2, 3, 5, 9])
            self._mouth.say(" ".join(self._rng.choice(["red", "blue", "green"], n)))
        return self._mouth.turn()

    def close(self) -> None:
        pass


def chat(place: Path, data: Path, official: Path, names: tuple[str, ...]) -> Path:
    """A run of these tasks in which a chatter was heard."""
    asked = Asked(data, official)
    for name in names:
        found = task.load(name).samples(asked)
        run.run(Solo("chatter", Chatter, slots=16), found, place / name, "lockstep")
    tasks = {n: {"samples": len(list((place / n).iterdir()))} for n in names}
    about = {"agent": "chatter", "clock": "lockstep", "seed": 0, "git": None}
    (place / "run.json").write_text(json.dumps(about | {"tasks": tasks}))
    return place
