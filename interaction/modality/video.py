"""Video as the model sees it: pairs of camera frames, cut into patches.

A micro-turn carries at most one temporal pair, what the camera shows at the end of
the turn's first and second half (10 frames a second at 200 ms). A patch holds both
frames of the pair, so a moving thing differs between the two slots.

Patch layout, pixel scaling and padding are those of the Inkling family (Hugging Face
`InklingImageProcessor`), so that its open weights apply.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import av
import numpy as np
from PIL import Image

from interaction.errors import InputError

PATCH = 40
PAIR = 2
PAD_VALUE = -1.0  # on the 0..255 scale, before rescaling: just below black
# CLIP's channel statistics (openai/CLIP, clip.py), for RGB in 0..1.
CLIP_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
CLIP_STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)

_Frame = tuple[float, np.ndarray]  # when, and the picture
_EPSILON_S = 1e-6  # time stamps are ratios; a frame due at 0.2 s may read 0.1999999


def read_video(path: str | os.PathLike) -> Generator[_Frame, None, None]:
    """Frames of a video or picture file: (t_s, uint8 [H, W, 3] RGB), in time order.

    t_s counts from the start of the file's own clock where it has one (mp4, mkv, avi: a
    camera that came on late has its first frame late), else from the first frame
    (transport streams, whose stamps start anywhere). The file is opened and its first
    frame decoded before this returns, so errors in the file come early. Raises
    InputError when the file is missing, empty, without pictures or (while reading)
    undecodable.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "no such file"
        raise InputError(f"{path}: {what}; name a video file, such as mp4")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes); record it again")
    frames = _decode(path)
    first = next(frames, None)
    if first is None:
        raise InputError(f"{path}: holds no video frames; name a video file")
    return _chain(first, frames)


def _chain(first: _Frame, rest: Iterator[_Frame]) -> Generator[_Frame, None, None]:
    yield first
    yield from rest


def _decode(path: Path) -> Iterator[tuple[float, np.ndarray]]:
    origin = None
    seen = -1.0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{path}: holds no video stream; name a video file")
            stream = container.streams.video[0]
            if not container.format.name.startswith("mpeg"):
                origin = 0.0
            for frame in container.decode(stream):
                time_s = frame.time if frame.time is not None else seen
                origin = time_s if origin is None else origin
                # A camera's clock may stutter; time never runs backward here.
                seen = max(seen, float(time_s - origin))
                yield max(seen, 0.0), frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        at = f"after {seen:.1f} s" if seen >= 0 else "at its start"
        raise InputError(
            f"{path}: cannot be decoded as video {at} ({reason}); convert it to mp4"
        ) from None


def turn_pairs(
    path: str | os.PathLike,
    turn_ms: int = 200,
    size: tuple[int, int] | None = None,
) -> Iterator[np.ndarray | None]:
    """One element a micro-turn, up to the turn of the last frame, decoded as needed.

    Each is uint8 [2, H, W, 3]: the newest frame at the end of the turn's first half
    and at its end, or None when no frame came within the turn. A frame that stands
    alone (a still, or the first frame in a second half) fills both slots. `size`:
    (height, width) to `fit` every frame to. Nothing after a turn's end is used in it.
    Raises InputError as `read_video`, at the call.
    """
    return _pairs(read_video(path), turn_ms / 1000, size)


def _pairs(frames, turn_s: float, size: tuple[int, int] | None):
    turn = 0
    shown = None  # newest frame before the half that is being filled
    halves: list[np.ndarray | None] = [None, None]
    for t_s, image in frames:
        k = int((t_s + _EPSILON_S) / turn_s)
        while turn < k:
            pair = _pair(shown, halves)
            shown = pair[1] if pair is not None else shown
            halves = [None, None]
            yield pair
            turn += 1
        half = int((t_s + _EPSILON_S - turn * turn_s) / (turn_s / 2))
        halves[min(half, 1)] = image if size is None else fit(image, *size)
    yield _pair(shown, halves)


def _pair(shown, halves) -> np.ndarray | None:
    first, second = halves
    if first is None and second is None:
        return None
    first = first if first is not None else shown if shown is not None else second
    second = second if second is not None else first
    if first.shape != second.shape:  # the camera turned between the two
        first = second
    return np.stack([first, second])


def frame_pairs(
    path: str | os.PathLike,
    turn_ms: int = 200,
    size: tuple[int, int] | None = None,
) -> list[np.ndarray | None]:
    """`turn_pairs` as a list; give `size` for long recordings, to bound memory."""
    return list(turn_pairs(path, turn_ms, size))


def fit(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale uint8 [h, w, 3] into uint8 [height, width, 3], letterboxed in black.

    Keeps the aspect ratio; Lanczos with the kernel widened when shrinking, so that
    fine texture does not alias. Raises InputError if `image` is not RGB bytes.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(
            f"video frame: {image.dtype}{list(image.shape)}; give uint8 [H, W, 3]"
        )
    h, w = image.shape[:2]
    if (h, w) == (height, width):
        return image
    scale = min(height / h, width / w)
    inner_h = min(height, max(1, round(h * scale)))
    inner_w = min(width, max(1, round(w * scale)))
    inner = Image.fromarray(image).resize((inner_w, inner_h), Image.Resampling.LANCZOS)
    out = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner_h) // 2, (width - inner_w) // 2
    out[top : top + inner_h, left : left + inner_w] = np.asarray(inner)
    return out


def patch_grid(height: int, width: int, patch: int = PATCH) -> tuple[int, int]:
    """(rows, columns) of patches. One column more than fits: Inkling's layout."""
    return -(-height // patch), width // patch + 1


def patchify(pair: np.ndarray, patch: int = PATCH) -> np.ndarray:
    """Cut a pair of frames into patches, row-major.

    uint8 [2, H, W, 3] -> float32 [P, 2, patch, patch, 3], P = rows x columns of
    `patch_grid`. Pixels are divided by 255 and standardised with CLIP's statistics;
    pixels outside the picture hold -1 before that. Raises InputError on another
    shape or dtype.
    """
    if pair.dtype != np.uint8 or pair.ndim != 4 or pair.shape[::3] != (PAIR, 3):
        raise InputError(
            f"video frames: {pair.dtype}{list(pair.shape)}; give uint8 [2, H, W, 3]"
        )
    _, height, width, _ = pair.shape
    rows, columns = patch_grid(height, width, patch)
    canvas = np.full((PAIR, rows * patch, columns * patch, 3), PAD_VALUE, np.float32)
    canvas[:, :height, :width] = pair
    canvas = (canvas * np.float32(1 / 255) - CLIP_MEAN) / CLIP_STD
    tiles = canvas.reshape(PAIR, rows, patch, columns, patch, 3)
    return np.ascontiguousarray(tiles.transpose(1, 3, 0, 2, 4, 5)).reshape(
        rows * columns, PAIR, patch, patch, 3
    )
