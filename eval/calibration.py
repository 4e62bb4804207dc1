"""What calibration agents say in a sample, and when: from the truth, without a run."""

from __future__ import annotations

import math

import numpy as np

from eval.agents import always_talk, fixed_latency
from eval.sample import TURN_S, Sample, Span
from eval.vad import energy
from interaction.data.espeak import agent_speech
from interaction.modality.audio import SAMPLE_RATE


def says(agent: str, sample: Sample) -> list[tuple[float, str]] | None:
    """(when it begins to sound, text), in order; what is new cuts off what was before, and
    "" is silence. None: not known, as of a parrot, whose sound is the sample's."""
    if agent == "silent":
        return []
    if agent == "oracle":
        return [(act.t, act.text) for act in sample.ideal if not act.call]
    if agent == "always_talk":
        turns = math.ceil(agent_speech(always_talk.TEXT.split()).seconds / TURN_S)
        return [(k * TURN_S, always_talk.TEXT) for k in range(1, sample.turns, turns)]
    if (seconds := fixed_latency.delay(agent)) is not None:
        starts = sorted({fixed_latency.start(s.t1, seconds) for s in sample.user})
        return [(t, fixed_latency.TEXT) for t in starts]
    return None


def words(agent: str, sample: Sample) -> list[Span] | None:
    """Words and when they begin to sound; without those that were cut off."""
    said = says(agent, sample)
    if said is None:
        return None
    ends = [*(t for t, _ in said[1:]), sample.turns * TURN_S]
    return [
        Span(w.text, t + w.t0, min(t + w.t1, end))
        for (t, text), end in zip(said, ends, strict=False)
        if text
        for w in agent_speech(text.split()).words
        if t + w.t0 < end - 1e-6
    ]


def segments(agent: str, sample: Sample) -> list[tuple[float, float]] | None:
    """Stretches of its speech, in seconds."""
    said = says(agent, sample)
    if said is None:
        return None
    wave = np.zeros(len(sample.audio), np.float32)
    for t, text in said:
        start = round(t * SAMPLE_RATE)
        wave[start:] = 0
        if text:
            spoken = agent_speech(text.split()).wave
            wave[start : start + len(spoken)] = spoken[: max(len(wave) - start, 0)]
    return energy.segments(wave)
