"""Camera frames of a benchmark's videos, decoded while they are shown.

A minute of frames takes more memory than a run has for its samples, so a sample holds
where they come from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from eval.sample import TURN_S
from interaction.errors import InputError
from interaction.modality.video import turn_pairs

SIZE = (360, 640)  # height and width of what a system is shown
CAPTION_S = 5.0  # a subtitle stays so long, where no other takes its place
MISSING_S = 1.0  # at the end of a video: more is not rounding


class Facts(NamedTuple):
    """Of a video file: its length, and frames a second."""

    seconds: float
    rate: float


def facts(path: Path) -> Facts:
    """Raises InputError where there is no video that opens."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; download the benchmark's videos")
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            length = float((stream.duration or 0) * (stream.time_base or 0))
            seconds = length or (container.duration or 0) / av.time_base
            rate = float(stream.average_rate or 0)
    except (av.FFmpegError, IndexError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: does not open as video ({error}); download it again"
        ) from None
    if seconds <= 0 or rate <= 0:
        raise InputError(f"{path}: says no length or rate; convert it to mp4")
    return Facts(seconds, rate)


@dataclass(frozen=True)
class Footage:
    """A video that begins at `begin`, a multiple of 0.2 s, of a sample's clock. seconds: of
    it that are shown; captions: (seconds of the video, text) that are written into it."""

    path: Path
    begin: float
    seconds: float
    captions: tuple[tuple[float, str], ...] = ()

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """(t, uint8 [2, H, W, 3]). Raises InputError where the file breaks off."""
        last = 0.0
        for k, pair in enumerate(turn_pairs(self.path, size=SIZE)):
            t = k * TURN_S
            if t >= self.seconds:
                return
            if pair is not None:
                last = t + TURN_S
                shown = pair if not self.captions else self._written(pair, t)
                yield round(self.begin + t, 3), shown
        if last < self.seconds - MISSING_S:
            raise InputError(
                f"{self.path}: breaks off after {last:.1f} of {self.seconds:.1f} s; "
                "download it again"
            )

    def _written(self, pair: np.ndarray, t: float) -> np.ndarray:
        due = [text for at, text in self.captions if at <= t < at + CAPTION_S]
        if not due:
            return pair
        return np.stack([_subtitled(frame, due[-1]) for frame in pair])

    def sha256(self) -> bytes:
        """Of all that decides what is shown; the same with any decoder."""
        h = hashlib.sha256(self.path.read_bytes())
        h.update(repr((self.begin, self.seconds, self.captions, SIZE)).encode())
        return h.digest()


def _subtitled(frame: np.ndarray, text: str) -> np.ndarray:
    image = Image.fromarray(frame)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(18)
    height, width = SIZE
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if pen.textlength(longer, font) > width - 20 and line:
            lines.append(line)
            longer = word
        line = longer
    lines.append(line)
    pen.multiline_text(
        (width / 2, height - 8), "\n".join(lines), "white", font, anchor="md",
        align="center", stroke_width=2, stroke_fill="black",
    )  # fmt: skip
    return np.asarray(image)
