"""A camera's frame as services take it."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def jpeg(frames: np.ndarray) -> bytes:
    """The later of uint8 [2, H, W, 3]."""
    file = io.BytesIO()
    Image.fromarray(frames[-1]).save(file, "JPEG", quality=90)
    return file.getvalue()
