"""Opus, in packets of 20 ms or as an Ogg stream of them (RFC 7845), and float32 at 16 kHz.

libopus encodes 16 kHz as it is, so a turn is ten packets, at once. It looks 6.5 ms ahead:
sound comes out that much later than it went in, here and in every client. The stream says
so (pre-skip), and players that heed it stay on the clock to the sample.

FFmpeg decodes Opus to 48 kHz, and its resampler looks 1 ms ahead, where soxr's blocks would
hold up to 19 ms. What a client's stream says of its own pre-skip is not heeded: live sound
is heard when it comes, and those of Moshi's clients claim 80 ms that they do not have.
"""

from __future__ import annotations

import struct
from typing import Literal

import av
import numpy as np

from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE
from interaction.serve import ogg

BITRATE = 32_000  # speech of 8 kHz bandwidth, transparent
TICKS = 48_000 // SAMPLE_RATE  # of Ogg's count of samples, in one of ours
AHEAD = 16  # samples that the resampler looks ahead
MOST = SAMPLE_RATE  # samples that one push may bring
BYTES = 1 << 16  # of one push; a second at libopus's highest rate
VENDOR = b"interaction"


def _codec(mode: Literal["r", "w"]) -> av.AudioCodecContext:
    codec = av.CodecContext.create("libopus", mode)
    assert isinstance(codec, av.AudioCodecContext)
    codec.sample_rate, codec.layout = SAMPLE_RATE, "mono"
    if mode == "w":
        codec.format, codec.bit_rate = "flt", BITRATE
        codec.options = {"application": "voip", "frame_duration": "20"}
    codec.open()
    return codec


class Decoder:
    """Packets of one stream to float32 at 16 kHz, 1 ms late; two channels become one."""

    def __init__(self) -> None:
        self._codec = _codec("r")
        self._rate = av.AudioResampler("flt", "mono", SAMPLE_RATE)
        self._early = np.zeros(AHEAD, np.float32)

    def push(self, packet: bytes) -> np.ndarray:
        """As many samples as it has. Raises InputError."""
        if not packet:
            raise InputError("audio: an empty packet")
        try:
            frames = self._codec.decode(av.Packet(packet))
        except av.error.FFmpegError as error:
            raise InputError(f"audio: no Opus packet ({error.strerror})") from None
        waves = [w.to_ndarray()[0] for frame in frames for w in self._rate.resample(frame)]
        early, self._early = self._early, self._early[:0]
        return np.concatenate([early, *waves])


class Encoder:
    """float32 at 16 kHz to packets of 20 ms; less than one waits."""

    def __init__(self) -> None:
        self._codec = _codec("w")

    @property
    def head(self) -> bytes:
        """OpusHead, with what libopus looks ahead as pre-skip."""
        assert self._codec.extradata
        return self._codec.extradata

    def push(self, wave: np.ndarray) -> list[bytes]:
        wave = np.clip(np.asarray(wave, np.float32), -1.0, 1.0)
        frame = av.AudioFrame.from_ndarray(wave[None], format="flt", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        return [bytes(packet) for packet in self._codec.encode(frame)]


class OggDecoder:
    """Bytes of an Ogg stream, however they are cut, to float32 at 16 kHz. A stream may end
    and another begin."""

    def __init__(self) -> None:
        self._pages = ogg.Reader()
        self._decoder: Decoder | None = None
        self._waves: list[np.ndarray] = []
        self._n = 0  # their samples

    def push(self, data: bytes) -> np.ndarray:
        """Raises InputError at the first thing that is wrong, which is left out; what was
        right about `data` comes with the next push."""
        if len(data) > BYTES:
            raise InputError(f"audio: {len(data)} bytes at once; {BYTES} at most")
        wrong: InputError | None = None
        for packet in self._pages.push(data):
            try:
                self._take(packet)
            except InputError as error:
                wrong = wrong or error
        if wrong:
            raise wrong
        waves, self._waves, self._n = self._waves, [], 0
        return np.concatenate([np.zeros(0, np.float32), *waves])

    def _take(self, packet: bytes | InputError) -> None:
        if isinstance(packet, InputError):
            raise packet
        if packet.startswith(b"OpusHead"):
            self._decoder = Decoder()
        elif self._decoder is None:
            raise InputError("audio: the stream begins without OpusHead; send Opus")
        elif self._n >= MOST:
            raise InputError("audio: more than a second at once; send it as it is said")
        elif not packet.startswith(b"OpusTags"):
            self._waves.append(self._decoder.push(packet))
            self._n += len(self._waves[-1])


class OggEncoder:
    """float32 at 16 kHz to an Ogg stream, whose pages are whole with every push."""

    def __init__(self) -> None:
        self._encoder = Encoder()
        self._number = self._granule = 0

    def push(self, wave: np.ndarray) -> bytes:
        """Whole turns, or less, of samples; multiples of 320 leave nothing behind."""
        packets = self._encoder.push(wave)
        self._granule += TICKS * SAMPLE_RATE // 50 * len(packets)
        made = b"" if self._number else self._begin()
        if packets:
            made += ogg.page(packets, self._number, self._granule)
            self._number += 1
        return made

    def _begin(self) -> bytes:
        tags = b"OpusTags" + struct.pack(f"<I{len(VENDOR)}sI", len(VENDOR), VENDOR, 0)
        self._number = 2
        head = ogg.page([self._encoder.head], 0, flags=ogg.BEGINS)
        return head + ogg.page([tags], 1)
