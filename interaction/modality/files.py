"""Sound files in and out, and a resampler whose bits do not depend on chunks.

In: wav, flac, ogg, mp3 (and what else libsndfile knows) of any rate, sample width and
channel count. The content decides how a file is decoded; its name is only reported.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE

_BLOCK = 1 << 16  # samples a channel per read
_MAX_PEAK = 100.0  # full scale is 1; beyond +40 dB the file holds integers as floats
_UNKNOWN_LENGTH = 1 << 40  # libsndfile's frame count when a header does not say


class StreamingResampler:
    """Resample a mono stream; the same bits as one call, whatever the chunks.

    Linear-phase filter of soxr ("HQ"): an output sample depends on a few milliseconds
    of input after it, so `push` runs behind by that much and `flush` gives the rest.
    Equal rates pass samples through untouched.

    Raises InputError if a rate is not positive.
    """

    def __init__(self, in_rate: int, out_rate: int = SAMPLE_RATE) -> None:
        if in_rate <= 0 or out_rate <= 0:
            raise InputError(
                f"sample rate: {in_rate} -> {out_rate} Hz; rates must be positive"
            )
        self._stream = (
            None
            if in_rate == out_rate
            else soxr.ResampleStream(in_rate, out_rate, 1, dtype="float32")
        )

    def push(self, chunk: np.ndarray) -> np.ndarray:
        """float32 [n] at the input rate -> float32 [m], what is ready."""
        chunk = np.ascontiguousarray(chunk, np.float32)
        return self._run(chunk, last=False) if len(chunk) else chunk

    def flush(self) -> np.ndarray:
        """The end of the stream, float32 [m]. No `push` may follow."""
        return self._run(np.zeros(0, np.float32), last=True)

    def _run(self, chunk: np.ndarray, last: bool) -> np.ndarray:
        if self._stream is None:
            return chunk
        return self._stream.resample_chunk(chunk, last=last)


def read_audio(path: str | os.PathLike, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """A sound file as mono float32 [N] at `sample_rate`, full scale 1.

    Channels are averaged. Raises InputError when the file is missing, empty, cut
    short, not sound, without channels or samples, or holds NaN, infinite or
    out-of-scale samples.
    """
    blocks = decode(path)
    rate = next(blocks)
    resampler = StreamingResampler(rate, sample_rate)
    parts = [resampler.push(block.mean(axis=1, dtype=np.float32)) for block in blocks]
    parts.append(resampler.flush())
    return np.concatenate(parts)


def decode(path: str | os.PathLike) -> Iterator:
    """A sound file by the piece: its rate, then checked float32 [n, channels] blocks.

    At least one block comes. Raises InputError (while reading, too) as `read_audio`.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "no such file"
        raise InputError(f"{path}: {what}; name a wav, flac, ogg or mp3 file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes); record it again")
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    _check_whole(path, head)
    is_mp3 = head[:3] == b"ID3" or (head[0] == 0xFF and head[1:2] >= b"\xe0")
    blocks = _decode_mp3(path) if is_mp3 else _decode(path)
    yield next(blocks)
    empty = True
    for block in blocks:
        _check_samples(path, block)
        empty = False
        yield block
    if empty:
        raise InputError(f"{path}: the file holds no samples; record it again")


def write_audio(path: str | os.PathLike, wave: np.ndarray, sample_rate: int) -> None:
    """Write float32 [N] or [N, channels] as 16 bits; format by the name's ending.

    Clipped to full scale. Written to a temporary name and renamed, so that `path`
    is either the whole file or untouched.
    """
    path = Path(path)
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        with open_for_writing(
            temporary, sample_rate, 1 if wave.ndim == 1 else wave.shape[1]
        ) as file:
            file.write(np.clip(wave, -1.0, 1.0))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def open_for_writing(
    path: str | os.PathLike, sample_rate: int, channels: int
) -> soundfile.SoundFile:
    """A sound file to write in parts: wav and flac in 16 bits, ogg as Vorbis.

    Raises InputError if the ending is another or the place cannot be written.
    """
    path = Path(path)
    check_sound_name(path)
    subtype = "VORBIS" if path.suffix.lower() == ".ogg" else "PCM_16"
    try:
        return soundfile.SoundFile(path, "w", sample_rate, channels, subtype)
    except (soundfile.LibsndfileError, OSError) as error:
        raise InputError(f"{path}: cannot be written ({error})") from None


def check_sound_name(path: Path) -> None:
    """Raise InputError unless the name ends in a format that we write."""
    if path.suffix.lower() not in {".wav", ".flac", ".ogg"}:
        raise InputError(f"{path}: unknown ending; name it .wav, .flac or .ogg")


def _decode(path: Path) -> Iterator:
    """Yields the rate, then float32 [n, channels] blocks; checks the length."""
    try:
        # By descriptor: from a name, libsndfile guesses formats by their endings.
        with path.open("rb") as raw, soundfile.SoundFile(raw) as file:
            yield file.samplerate
            total = 0
            while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
                total += len(block)
                yield block
            declared = file.frames
    except (soundfile.LibsndfileError, TypeError) as error:
        reason = str(getattr(error, "error_string", error)).lower()
        reason = reason.removeprefix("error : ").rstrip(".")
        if "not recognised" in reason or isinstance(error, TypeError):
            reason = "not a sound file"
        elif "channel count" in reason:
            reason = "the header declares 0 channels"
        else:
            reason = f"cannot be decoded ({reason}); it may be cut short"
        raise InputError(f"{path}: {reason}; give wav, flac, ogg or mp3") from None
    if total < declared < _UNKNOWN_LENGTH:
        raise _cut_short(path)


def _decode_mp3(path: Path) -> Iterator:
    """As `_decode`, by FFmpeg: libsndfile's mp3 decoder writes to stderr."""
    try:
        with av.open(str(path), format="mp3") as container:
            stream = container.streams.audio[0]
            yield stream.rate
            total = 0
            for frame in container.decode(stream):
                block = frame.to_ndarray().T.astype(np.float32, copy=False)
                total += len(block)
                yield np.ascontiguousarray(block)
            seconds = float((stream.duration or 0) * (stream.time_base or 0))
            declared = seconds * stream.rate
    except (av.FFmpegError, IndexError) as error:
        raise InputError(
            f"{path}: cannot be decoded as mp3 ({error}); give wav, flac, ogg or mp3"
        ) from None
    with path.open("rb") as file:
        indexed = any(tag in file.read(_BLOCK) for tag in (b"Xing", b"Info"))
    # Without an index the duration is a guess from the bit rate. 5%: encoder padding
    # is counted by some writers.
    if indexed and total < 0.95 * declared - 2304:
        raise _cut_short(path)


def _check_samples(path: Path, block: np.ndarray) -> None:
    if not np.isfinite(block).all():
        raise InputError(f"{path}: holds NaN or infinite samples; export it again")
    if (peak := float(np.abs(block).max())) > _MAX_PEAK:
        raise InputError(
            f"{path}: float samples reach {peak:g} where full scale is 1; "
            "divide them by their integer range"
        )


def _cut_short(path: Path) -> InputError:
    return InputError(
        f"{path}: the file is cut short (its header promises more); copy it again"
    )


def _check_whole(path: Path, head: bytes) -> None:
    """Raise InputError for the containers whose cut end libsndfile reads over."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE" and _wav_is_cut(path):
        raise _cut_short(path)
    if head[:4] == b"OggS" and _ogg_is_cut(path):
        raise _cut_short(path)


def _wav_is_cut(path: Path) -> bool:
    """Whether the data chunk promises more bytes than the file has."""
    size = path.stat().st_size
    with path.open("rb") as file:
        position = 12
        while position + 8 <= size:
            file.seek(position)
            name, length = struct.unpack("<4sI", file.read(8))
            if name == b"data":
                # Programs that write to a pipe leave 0 or a huge length: unknown.
                return length < 0x7FFFF000 and position + 8 + length > size
            position += 8 + length + length % 2
    return False


def _ogg_is_cut(path: Path) -> bool:
    """Whether the last page is incomplete or not marked as the stream's end."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 2 * 65_307))  # a page has at most 65,307 bytes
        tail = file.read()
    start = tail.rfind(b"OggS")
    header = tail[start : start + 27]
    if start < 0 or len(header) < 27:
        return True
    segments = tail[start + 27 : start + 27 + header[26]]
    end = start + 27 + header[26] + sum(segments)
    return not header[5] & 4 or end > len(tail)
