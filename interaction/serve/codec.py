"""Sound as it comes over wires, and as the model takes it: float32 at 16 kHz."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
import numpy as np
import soxr

from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE

NAMES = {"audio/pcm": "pcm_s16le", "audio/pcmu": "pcm_mulaw", "audio/pcma": "pcm_alaw"}


@dataclass(frozen=True)
class Format:
    """type: a MIME name of `NAMES`; rate: samples a second."""

    type: str = "audio/pcm"
    rate: int = 24_000

    def check(self, field: str = "audio.format") -> Format:
        """Raises InputError, naming the field that this is."""
        rates = (16_000, 24_000) if self.type == "audio/pcm" else (8_000,)
        if self.type not in NAMES:
            raise InputError(f"{field}.type: {self.type}; one of {', '.join(NAMES)}")
        if self.rate not in rates:
            of = " or ".join(map(str, rates))
            raise InputError(f"{field}.rate: {self.rate}; {self.type} has {of}")
        return self

    @property
    def width(self) -> int:
        """Bytes of a sample."""
        return 2 if self.type == "audio/pcm" else 1


def pcm16(wave: np.ndarray) -> np.ndarray:
    """float32 [...] to int16, clipped."""
    return (np.clip(wave, -1.0, 32767 / 32768) * 32768).round().astype(np.int16)


def _codec(form: Format, mode: Literal["r", "w"]) -> av.AudioCodecContext:
    codec = av.CodecContext.create(NAMES[form.type], mode)
    assert isinstance(codec, av.AudioCodecContext)
    codec.sample_rate, codec.layout = form.rate, "mono"
    return codec


class _Rate:
    """From one rate to another, as a stream; the same rate passes as it is. Holds back at
    most 20 ms at 24 kHz and 61 ms at 8 kHz; soxr's better qualities, whose blocks are
    longer, hold up to 37 to 118 ms, and speech gains nothing by them."""

    def __init__(self, source: int, target: int) -> None:
        self._soxr = None
        if source != target:
            self._soxr = soxr.ResampleStream(source, target, 1, "float32", quality="LQ")

    def push(self, wave: np.ndarray, last: bool = False) -> np.ndarray:
        return wave if self._soxr is None else self._soxr.resample_chunk(wave, last)


class Decoder:
    """Bytes of a stream, however they are cut, to float32 at 16 kHz."""

    def __init__(self, form: Format) -> None:
        self._form = form
        self._codec = _codec(form, "r")
        self._rate = _Rate(form.rate, SAMPLE_RATE)
        self._half = b""

    def push(self, data: bytes) -> np.ndarray:
        data = self._half + data
        whole = len(data) - len(data) % self._form.width
        data, self._half = data[:whole], data[whole:]
        if not data:
            return np.zeros(0, np.float32)
        frames = self._codec.decode(av.Packet(data))
        wave = np.concatenate([frame.to_ndarray()[0] for frame in frames])
        return self._rate.push(wave.astype(np.float32) / 32768.0)


class Encoder:
    """float32 at 16 kHz to bytes."""

    def __init__(self, form: Format) -> None:
        self._codec = _codec(form, "w")
        self._codec.format, self._codec.time_base = "s16", Fraction(1, form.rate)
        self._rate = _Rate(SAMPLE_RATE, form.rate)

    def push(self, wave: np.ndarray, last: bool = False) -> bytes:
        """last: nothing more will come, and nothing is held back."""
        wave = self._rate.push(np.asarray(wave, np.float32), last)
        if not len(wave):
            return b""
        pcm = pcm16(wave)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = self._codec.sample_rate
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))
