"""A system's own words, aligned to its own sound by pocketsphinx.

What it said is known (its text); only when is asked. The text is divided over stretches of
speech by the turns that it was written for, and each stretch is aligned by itself, from
its onset on. Words that the dictionary lacks are spelt into phones by rule: their onsets
are as good as their neighbours'. Free recognition is not offered: it is unusable here.

Measured on 57 words of espeak's whose times are known: half of the onsets are within
10 ms, nine of ten within 54 ms, the worst 0.24 s off (beside a word of no dictionary).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from eval.ears import Unheard
from eval.record import Record
from eval.sample import Span
from eval.words import text_stream
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE

JOIN_S = 0.6  # stretches of speech this close are one: pauses between words are inside
MARGIN_S = 0.1  # of sound around a stretch
FRAMES = 100  # of the aligner, a second

# One phone, or two, a letter: an unknown word's length is what matters.
_LETTERS = {
    "a": "AE", "b": "B", "c": "K", "d": "D", "e": "EH", "f": "F", "g": "G", "h": "HH",
    "i": "IH", "j": "JH", "k": "K", "l": "L", "m": "M", "n": "N", "o": "AA", "p": "P",
    "q": "K", "r": "R", "s": "S", "t": "T", "u": "AH", "v": "V", "w": "W", "x": "K S",
    "y": "IY", "z": "Z",
}  # fmt: skip
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@functools.cache
def _decoder() -> Any:
    try:
        from pocketsphinx import Decoder
    except ImportError:
        raise InputError(
            "--words=forced_align: pocketsphinx is missing; pip install 'interaction[eval]'"
        ) from None
    # bestpath would go over a lattice, which an alignment has not.
    return Decoder(lm=None, samprate=SAMPLE_RATE, bestpath=False, loglevel="FATAL")


def _spoken(word: str) -> list[str]:
    """A written word as words of the dictionary's, all in it or added to it."""
    text = word.lower().replace("’", "'")
    parts = re.findall(r"[a-z]+(?:'[a-z]+)*|[0-9]", text)
    found = []
    for part in parts:
        part = _DIGITS[int(part)] if part.isdigit() else part
        if _decoder().lookup_word(part) is None:
            phones = " ".join(_LETTERS[c] for c in part if c in _LETTERS)
            _decoder().add_word(part, phones, True)
        found.append(part)
    return found


def align(wave: np.ndarray, words: Sequence[str]) -> list[tuple[float, float]] | None:
    """float32 [N] at 16 kHz -> start and end of each word, in seconds; None where they
    cannot be aligned. A word without letters or digits ends where it starts."""
    spoken = [_spoken(word) for word in words]
    flat = [part for parts in spoken for part in parts]
    if not flat:
        return [(0.0, 0.0)] * len(words)
    decoder = _decoder()
    try:
        decoder.set_align_text(" ".join(flat))
        decoder.start_utt()
        pcm = (np.clip(wave, -1, 1) * 32767).astype(np.int16)
        decoder.process_raw(pcm.tobytes(), full_utt=True)
        decoder.end_utt()
        segments = list(decoder.seg() or ())
    except (RuntimeError, ValueError):
        return None
    times = [
        (s.start_frame / FRAMES, (s.end_frame + 1) / FRAMES)
        for s in segments
        if re.sub(r"\(\d+\)$", "", s.word) in flat  # silences have names of their own
    ]
    if len(times) != len(flat):
        return None
    spans, k = [], 0
    for parts in spoken:
        at = times[k][0] if k < len(times) else times[-1][1]
        spans.append((at, times[k + len(parts) - 1][1] if parts else at))
        k += len(parts)
    return spans


def _stretches(segments: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for a, b in segments:
        if joined and a - joined[-1][1] <= JOIN_S:
            joined[-1] = (joined[-1][0], b)
        else:
            joined.append((a, b))
    return joined


def words(record: Record, segments: list[tuple[float, float]]) -> list[Span]:
    """Raises Unheard where a stretch cannot be aligned. Text without sound is no speech."""
    written = text_stream.words(record, segments)
    stretches = _stretches(segments)
    if not stretches:
        return []
    groups: list[list[str]] = [[] for _ in stretches]
    k = 0
    for word in written:  # words are in order, and so are stretches
        while k + 1 < len(stretches) and word.t1 > stretches[k + 1][0] + 1e-6:
            k += 1
        groups[k].append(word.text)
    spans = []
    for (a, b), group in zip(stretches, groups, strict=True):
        if not group:
            continue
        start = max(a - MARGIN_S, 0.0)
        cut = slice(round(start * SAMPLE_RATE), round((b + MARGIN_S) * SAMPLE_RATE))
        found = align(record.output[cut], group)
        if found is None:
            raise Unheard(f"{record.id}: {a:.1f} to {b:.1f} s does not align with its text")
        found[0] = (min(found[0][0], a - start), found[0][1])  # it begins the stretch
        spans += [
            Span(text, start + t0, start + t1)
            for text, (t0, t1) in zip(group, found, strict=True)
        ]
    return spans
