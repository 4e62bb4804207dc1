"""Speech by espeak-ng, through ctypes: a waveform and when each word sounds.

espeak-ng keeps flutter, phase and noise generator state from one utterance to the
next, and nothing in its interface resets them. Equal arguments must give equal bits,
so each utterance gets a freshly loaded library (nothing else here may hold it open).
To choose a voice espeak-ng reads every voice file it has (3 ms), so it is shown a
folder of links to the one voice wanted (a total of 2.5 ms, 1.5 of them synthesis).
"""

from __future__ import annotations

import _ctypes
import atexit
import ctypes
import functools
import itertools
import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import espeakng_loader
import numpy as np
import soxr

from interaction.data.dialogue import Word
from interaction.data.voices import AGENT_VOICE, Voice
from interaction.modality.audio import SAMPLE_RATE

# Names and values from espeak-ng's speak_lib.h.
_SYNCHRONOUS = 2
_PHONEME_EVENTS = 1 | 2  # with the phoneme as IPA; pauses have an empty name
_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_WORD, _PHONEME = 1, 7

_VOLUME_PERCENT = 60  # the loudest voices clip at the default of 100
_TRIM = 0.01  # below this part of the peak the edges are silence
_EDGE_S = 0.005  # kept on either side of the sound
_one_at_a_time = threading.Lock()  # the library is full of globals


@dataclass(frozen=True, eq=False)
class Spoken:
    """wave f32[N] at 16 kHz, |wave| < 1, no silence at its edges; words in seconds."""

    wave: np.ndarray
    words: tuple[Word, ...]

    @property
    def seconds(self) -> float:
        return len(self.wave) / SAMPLE_RATE


class _Id(ctypes.Union):
    _fields_ = [
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    ]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_short),
    ctypes.c_int,
    ctypes.POINTER(_Event),
)


@functools.cache
def _views() -> Path:
    """This process's folder for links to voices."""
    folder = tempfile.mkdtemp(prefix="espeak-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@functools.cache
def _view(language: str, variant: str) -> bytes:
    """The path of espeak-ng data that hold one accent of one language, and one variant."""
    data = Path(espeakng_loader.get_data_path())
    accents = [
        file for file in sorted(data.glob("lang/*/*")) if file.name.lower() == language
    ]
    chosen = data / "voices" / "!v" / variant
    if not accents or not chosen.is_file():
        raise ValueError(f"espeak-ng has no voice '{language}+{variant}'")
    view = _views() / f"{language}+{variant}"
    for file in (
        *(data / name for name in ("phondata", "phonindex", "phontab", "intonations")),
        data / f"{language.partition('-')[0]}_dict",
        accents[0],
        chosen,
    ):
        link = view / file.relative_to(data)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
    return str(view).encode()


def _synthesise(text: str, voice: Voice) -> tuple[np.ndarray, list, int]:
    """int16 samples, [(type, text_position, sample, phoneme)], sample rate."""
    chunks, events = [], []

    def collect(samples, n, event):
        if samples and n > 0:
            chunks.append(np.ctypeslib.as_array(samples, (n,)).copy())
        i = 0
        while event[i].type:
            e = event[i]
            name = e.id.string if e.type == _PHONEME else b""
            events.append((e.type, e.text_position, e.sample, name))
            i += 1
        return 0

    callback = _Callback(collect)
    with _one_at_a_time:
        data_path = _view(voice.language, voice.variant)
        library = ctypes.CDLL(espeakng_loader.get_library_path())
        try:
            rate = library.espeak_Initialize(
                _SYNCHRONOUS, 0, data_path, _PHONEME_EVENTS | _DONT_EXIT
            )
            if rate <= 0:
                raise RuntimeError(f"espeak-ng did not start from {data_path!r}")
            library.espeak_SetSynthCallback(callback)
            name = f"{voice.language}+{voice.variant}"
            if library.espeak_SetVoiceByName(name.encode()):
                raise RuntimeError(f"espeak-ng could not load the voice {name!r}")
            library.espeak_ng_SetRandSeed(ctypes.c_long(1))
            for parameter, value in (
                (_RATE, voice.rate),
                (_VOLUME, _VOLUME_PERCENT),
                (_PITCH, voice.pitch),
                (_RANGE, voice.range),
            ):
                library.espeak_SetParameter(parameter, value, 0)
            data = text.encode() + b"\0"
            library.espeak_Synth(
                data, ctypes.c_size_t(len(data)), 0, 1, 0, _CHARS_UTF8, None, None
            )
            library.espeak_Terminate()
        finally:
            _ctypes.dlclose(library._handle)
    return np.concatenate(chunks), events, rate


def _starts(words: Sequence[str], events: list, end: int) -> np.ndarray:
    """The sample where each word starts, by the text position of WORD events.

    espeak-ng says some pairs ("of the") as one word; the second one then gets a
    start in proportion to the letters.
    """
    first_char = np.cumsum([0] + [len(word) + 1 for word in words])
    known = {len(words): end}
    for kind, position, sample, _ in events:
        if kind == _WORD:
            i = int(np.searchsorted(first_char, position - 1, side="right")) - 1
            if i < len(words):
                known.setdefault(i, sample)
    at = sorted(known)
    return np.interp(first_char, first_char[at], [known[i] for i in at])


def speak(words: Sequence[str], voice: Voice) -> Spoken:
    """Say lower-case words (numbers spelt out) without punctuation.

    A word ends where the next one starts or a pause does, the last one where its
    sound has died away. The same arguments give the same bits, whatever was said
    before. Raises ValueError if espeak-ng does not have the voice.
    """
    raw, events, rate = _synthesise(" ".join(words), voice)
    wave = soxr.resample(raw.astype(np.float32) / 32768, rate, SAMPLE_RATE)
    loud = np.flatnonzero(np.abs(wave) > _TRIM * np.abs(wave).max())
    edge = int(_EDGE_S * SAMPLE_RATE)
    first, last = max(loud[0] - edge, 0), min(loud[-1] + edge, len(wave))
    starts = _starts(words, events, len(raw))
    pauses = [s for kind, _, s, name in events if kind == _PHONEME and not name]
    ends = [
        min([after, *(p for p in pauses if start < p < after)])
        for start, after in itertools.pairwise(starts)
    ]
    ends[-1] = len(raw)
    t0s, t1s = (
        np.clip(np.array(edges) / rate * SAMPLE_RATE, first, last) - first
        for edges in (starts[:-1], ends)
    )
    timed = tuple(
        Word(word, t0, t1)
        for word, t0, t1 in zip(
            words,
            (t0s / SAMPLE_RATE).tolist(),
            (t1s / SAMPLE_RATE).tolist(),
            strict=True,
        )
    )
    return Spoken(wave[first:last].astype(np.float32), timed)


WORD_GRID = 800  # samples: an agent's word begins at a multiple of 50 ms
_WORD_GAP_S = 0.04
_AGENT_PEAK = 0.5


@functools.cache
def _agent_word(word: str) -> np.ndarray:
    wave = speak((word,), AGENT_VOICE).wave
    wave = wave * (_AGENT_PEAK / np.abs(wave).max())
    wave.setflags(write=False)
    return wave


def agent_speech(words: Sequence[str]) -> Spoken:
    """The agent's speech: each word by itself, so that it always sounds the same.

    Words begin on a grid of 50 ms, at least 40 ms after the word before.
    """
    gap = int(_WORD_GAP_S * SAMPLE_RATE)
    timed, starts, end = [], [], -gap
    for word in words:
        start = -(-(end + gap) // WORD_GRID) * WORD_GRID
        end = start + len(_agent_word(word))
        timed.append(Word(word, start / SAMPLE_RATE, end / SAMPLE_RATE))
        starts.append(start)
    wave = np.zeros(end, np.float32)
    for word, start in zip(words, starts, strict=True):
        wave[start : start + len(_agent_word(word))] = _agent_word(word)
    return Spoken(wave, tuple(timed))
