"""A turn's sound as the native protocol carries it: 6,400 bytes of PCM, or Opus in ten
packets of 20 ms, an eighth of that, which come out 7.5 ms later than they went in."""

from __future__ import annotations

import numpy as np

from interaction.errors import InputError
from interaction.modality.audio import TURN_SAMPLES
from interaction.serve.codec import pcm16
from interaction.serve.opus import Decoder, Encoder


class Pcm:
    """float32 [3200] to bytes and back."""

    def pack(self, wave: np.ndarray) -> bytes:
        return pcm16(wave).astype("<i2").tobytes()

    def unpack(self, sound: bytes | list[bytes]) -> np.ndarray:
        """Raises InputError."""
        if not isinstance(sound, bytes):
            raise InputError('audio: packets; ask for them with `sound: "opus"` in `start`')
        return np.frombuffer(sound, "<i2").astype(np.float32) / 32768.0


class Opus:
    """float32 [3200] to packets and back, turn after turn."""

    def __init__(self) -> None:
        self._encoder, self._decoder = Encoder(), Decoder()

    def pack(self, wave: np.ndarray) -> list[bytes]:
        return self._encoder.push(wave)

    def unpack(self, sound: bytes | list[bytes]) -> np.ndarray:
        """Raises InputError."""
        if isinstance(sound, bytes):
            raise InputError("audio: PCM in a talk of Opus; send a list of ten packets")
        wave = np.concatenate([self._decoder.push(packet) for packet in sound])
        if len(wave) != TURN_SAMPLES:
            raise InputError(f"audio: {len(wave) / 16:g} ms; send ten packets of 20 ms")
        return wave
