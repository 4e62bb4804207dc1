"""The two sides' sound at 16 kHz, from whatever files a corpus has."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from interaction.data.corpora.conversation import Track
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE
from interaction.modality.files import StreamingResampler, decode

CONTAINERS = {".mp4", ".m4a", ".mov", ".mkv", ".webm"}  # FFmpeg's, by ending
_SPHERE = b"NIST_1A"


def read_sides(tracks: tuple[Track, Track]) -> list[np.ndarray]:
    """float32 [N_0], [N_1]. A file that holds both sides is decoded once.

    Raises InputError with the file's name where it is missing, empty, no sound, cut
    short, or has another number of channels than the corpus's layout says.
    """
    a, b = tracks
    here = (a.start, a.seconds) == (b.start, b.seconds)
    together = here and a.path == b.path and a.data is b.data
    if a.wave is None and b.wave is None and together:
        return _read(a, (a.channel, b.channel))
    return [t.wave if t.wave is not None else read_mono(t) for t in tracks]


def read_mono(track: Track) -> np.ndarray:
    """float32 [N]: one side by itself. Raises InputError as `read_sides`."""
    return _read(track, (track.channel,))[0]


def _read(track: Track, wanted: tuple[int, ...]) -> list[np.ndarray]:
    if track.data is None:
        return _channels(track, track.path, wanted)
    with tempfile.NamedTemporaryFile(suffix=".sound") as file:
        file.write(track.data)
        file.flush()
        try:
            return _channels(track, Path(file.name), wanted)
        except InputError as error:
            text = str(error).replace(file.name, str(track.path))
            raise InputError(text) from None


def _channels(track: Track, path: Path, wanted: tuple[int, ...]) -> list[np.ndarray]:
    blocks = _soundtrack(path) if path.suffix.lower() in CONTAINERS else _sound(path)
    rate = next(blocks)
    skip = round(track.start * rate)
    left = None if track.seconds is None else round(track.seconds * rate)
    resamplers = [StreamingResampler(rate) for _ in wanted]
    parts: list[list[np.ndarray]] = [[] for _ in wanted]
    for block in blocks:
        if block.shape[1] != track.channels:
            raise InputError(
                f"{path}: has {block.shape[1]} channels, the layout says {track.channels}; "
                "give the corpus's own files"
            )
        block, skip = block[skip:], max(skip - len(block), 0)
        if left is not None:
            block = block[:left]
            left -= len(block)
        for part, resampler, channel in zip(parts, resamplers, wanted, strict=True):
            part.append(resampler.push(block[:, channel]))
        if left == 0:
            break
    for part, resampler in zip(parts, resamplers, strict=True):
        part.append(resampler.flush())
    return [np.concatenate(part) for part in parts]


def _sound(path: Path) -> Iterator:
    if is_shortened(path):
        raise InputError(
            f"{path}: sphere file with shorten compression, which needs LDC's sph2pipe on "
            "PATH; or unpack it: sph2pipe -f wav IN.sph OUT.wav"
        )
    return decode(path)


def is_shortened(path: Path) -> bool:
    """Whether a file is a NIST sphere file whose samples are packed with shorten."""
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError:
        return False  # `decode` says what is wrong with it
    return head.startswith(_SPHERE) and b"shorten" in head


def _soundtrack(path: Path) -> Iterator:
    """As `modality.files.decode`, for the first soundtrack of a video file."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; download the corpus's media")
    try:
        with av.open(str(path)) as container:
            stream = container.streams.audio[0]
            yield stream.rate
            planar = av.AudioResampler(
                format="fltp", layout=stream.layout, rate=stream.rate
            )
            empty = True
            for frame in container.decode(stream):
                for piece in planar.resample(frame):
                    empty = False
                    yield np.ascontiguousarray(piece.to_ndarray().T)
            if empty:
                raise InputError(f"{path}: its soundtrack is empty; copy it again")
    except (av.FFmpegError, IndexError) as error:
        raise InputError(
            f"{path}: no soundtrack decodes ({error}); copy it again"
        ) from None


def soundtrack(path: Path) -> np.ndarray:
    """The first soundtrack of a video file as mono float32 [N] at 16 kHz, channels
    averaged. Raises InputError where there is none that decodes."""
    blocks = _soundtrack(path)
    resampler = StreamingResampler(next(blocks))
    parts = [resampler.push(block.mean(axis=1, dtype=np.float32)) for block in blocks]
    return np.concatenate([*parts, resampler.flush()])


def trim(wave: np.ndarray, part: float = 0.01) -> tuple[float, float]:
    """When the sound of a recording begins and ends, in seconds: where it is first and
    last above `part` of its peak. Of silence, the whole."""
    size = np.abs(wave)
    loud = np.flatnonzero(size > part * size.max(initial=0.0))
    if not len(loud):
        return 0.0, len(wave) / SAMPLE_RATE
    return float(loud[0]) / SAMPLE_RATE, float(loud[-1] + 1) / SAMPLE_RATE
