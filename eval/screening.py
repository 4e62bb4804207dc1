"""A question out loud, then a video without its sound."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eval.footage import Facts, Footage, facts
from eval.sample import TURN_S, Act, Fault, Sample, Span
from eval.utterances import plain
from interaction.data.acoustics import SPEECH_RMS, level
from interaction.data.espeak import speak
from interaction.data.voices import HELD_OUT_VOICES
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE, TURN_SAMPLES

VOICE = HELD_OUT_VOICES[0]
VIDEOS = "mp4", "mkv", "avi", "webm"


def turn(t: float) -> float:
    """The first turn boundary at or behind `t`."""
    return round(math.ceil(t / TURN_S - 1e-6) * TURN_S, 3)


def video(folder: Path, name: str) -> Path:
    """A file by its name, whose ending may be missing; the plain name where there is
    none."""
    named = [folder / name, *(folder / f"{name}.{ending}" for ending in VIDEOS)]
    return next((file for file in named if file.is_file()), named[1])


def screening(
    id_: str,
    question: str,
    path: Path,
    truth: Callable[[Facts], Mapping[str, Any]],
    ideal: Callable[[Mapping[str, Any]], Iterable[tuple[float, str]]],
    *,
    pause_s: float = 1.0,
    seconds: float = math.inf,
    room_s: float = 2.0,
    captions: tuple[tuple[float, str], ...] = (),
) -> Sample | Fault:
    """The question, `pause_s` of silence, up to `seconds` of the video, and `room_s` more
    to say something in.

    truth: of the file's facts; gets `begin`, when the video begins. ideal: of that truth;
    (seconds of the video, what an ideal system says then). A file that does not open, or
    a truth that raises ValueError, is a fault.
    """
    words = plain(question)
    if not words:
        return Fault(id_, "an empty question")
    try:
        known = facts(path)
        told = dict(truth(known))
    except (InputError, ValueError) as error:
        return Fault(id_, str(error))
    spoken = speak(words, VOICE)
    begin = turn(spoken.seconds + pause_s)
    shown = min(known.seconds, seconds)
    # Zeros that nobody writes to take no memory: runs hold all samples at once.
    audio = np.zeros(
        round(turn(begin + shown + room_s) / TURN_S) * TURN_SAMPLES, np.float32
    )
    audio[: len(spoken.wave)] = level(spoken.wave, SPEECH_RMS)
    told |= {"begin": begin}
    return Sample(
        id=id_,
        audio=audio,
        user=(Span(" ".join(words), 0.0, len(spoken.wave) / SAMPLE_RATE),),
        frames=Footage(path, begin, shown, captions),
        truth=told,
        ideal=tuple(Act(turn(begin + t), text) for t, text in ideal(told)),
    )
