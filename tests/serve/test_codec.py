"""Sound over wires: nothing lost at its rate, aligned and close at others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interaction.errors import InputError
from interaction.serve.codec import Decoder, Encoder, Format

FORMATS = [
    Format("audio/pcm", 16_000), Format("audio/pcm", 24_000),
    Format("audio/pcmu", 8_000), Format("audio/pcma", 8_000),
]  # fmt: skip


def speech(n: int) -> np.ndarray:
    t = np.arange(n) / 16_000
    return (0.4 * np.sin(2 * np.pi * 440 * t) + 0.1 * np.sin(2 * np.pi * 1234 * t)).astype(
        "f4"
    )


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_there_and_back(form):
    encoder, decoder, wave = Encoder(form), Decoder(form), speech(32_000)
    turns = [encoder.push(wave[k : k + 3200]) for k in range(0, 32_000, 3200)]
    back = np.concatenate([decoder.push(data) for data in turns])
    short = len(wave) - len(back)  # what resamplers still hold
    assert 0 <= short < 2000
    error = np.abs(back - wave[: len(back)])[800:-800].max()
    assert error < (0.03 if form.type != "audio/pcm" else 1e-3)
    size = sum(len(data) for data in turns) / (form.width * form.rate)
    assert 0 <= 2.0 - size < 0.062  # what `Encoder` holds
    rest = encoder.push(wave[:0], last=True)
    assert abs(size + len(rest) / (form.width * form.rate) - 2.0) < 1e-4


@settings(deadline=None)
@given(st.lists(st.integers(0, 700), max_size=30), st.sampled_from(FORMATS))
def test_a_stream_is_the_same_however_it_is_cut(cuts, form):
    data = Encoder(form).push(speech(4000))
    whole = Decoder(form).push(data)
    decoder, parts, at = Decoder(form), [], 0
    for n in cuts:
        parts.append(decoder.push(data[at : at + n]))
        at += n
    parts.append(decoder.push(data[at:]))
    got = np.concatenate(parts)
    n = min(len(got), len(whole))
    assert abs(len(got) - len(whole)) <= 800
    np.testing.assert_allclose(got[:n], whole[:n], atol=1e-6)


@pytest.mark.parametrize(
    "form", [Format("audio/opus"), Format("audio/pcm", 8_000), Format("audio/pcmu", 16_000)]
)
def test_other_formats_are_named(form):
    with pytest.raises(InputError, match=r"audio\.format"):
        form.check()
