"""Pictures as they come over wires."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from interaction.errors import InputError

SIDE = 4_096  # pixels of a picture's side at most


def picture(data: bytes, field: str) -> np.ndarray:
    """JPEG or PNG -> uint8 [H, W, 3]. Raises InputError, naming the field."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            if max(image.size) > SIDE:
                raise InputError(f"{field}: {image.size}; {SIDE} pixels a side at most")
            return np.asarray(image.convert("RGB"))
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{field}: neither JPEG nor PNG ({error})") from None


def pictures(pair: Sequence[bytes]) -> np.ndarray:
    """Two of one size -> uint8 [2, H, W, 3]. Raises InputError."""
    first, second = (picture(data, "pictures") for data in pair)
    if first.shape != second.shape:
        raise InputError("pictures: of two sizes; send both alike")
    return np.stack([first, second])
