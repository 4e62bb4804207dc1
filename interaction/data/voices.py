"""Who speaks: espeak-ng voices of users, held-out users and the agent.

A voice is an accent and a variant (a vocal tract). Variants that whisper, croak, hum
or sound like robots are left out, and so is a variant that another list uses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Voice:
    """An espeak-ng voice: rate in words per minute, pitch and range 0..100."""

    language: str
    variant: str
    rate: int = 165
    pitch: int = 50
    range: int = 50


AGENT_VOICE = Voice("en-us", "f3")


def _voices(language: str, variants: str) -> tuple[Voice, ...]:
    return tuple(Voice(language, variant) for variant in variants.split())


TRAIN_VOICES: tuple[Voice, ...] = (
    *_voices("en-us", "f2 f4 m1 m3 Alex Andy Annie Michael linda max robert"),
    *_voices("en", "f1 m4 m6 Lee Mario grandpa victor quincy"),
    *_voices("en-gb-x-rp", "Alicia m7 Denis rob steph"),
    *_voices("en-gb-scotland", "m2 belinda kaukovalta"),
    *_voices("en-029", "travis Gene Nguyen"),
    *_voices("en-us-nyc", "marcelo adam michel"),
    *_voices("en-gb-x-gbclan", "Storm benjamin"),
)
HELD_OUT_VOICES: tuple[Voice, ...] = (
    *_voices("en-us", "f5 Mike"),
    *_voices("en", "m5 boris"),
    *_voices("en-gb-x-rp", "aunty sandro"),
    *_voices("en-gb-scotland", "m8"),
    *_voices("en-029", "Gene2"),
    *_voices("en-us-nyc", "edward2"),
    *_voices("en-gb-x-gbclan", "grandma"),
)
RATES = (140, 200)  # words per minute, both included
PITCHES = (35, 65)


def sample_user_voice(rng: np.random.Generator, held_out: bool) -> Voice:
    """A user's voice with a rate and pitch of its own."""
    voices = HELD_OUT_VOICES if held_out else TRAIN_VOICES
    voice = voices[rng.integers(len(voices))]
    return replace(
        voice,
        rate=int(rng.integers(RATES[0], RATES[1] + 1)),
        pitch=int(rng.integers(PITCHES[0], PITCHES[1] + 1)),
    )
