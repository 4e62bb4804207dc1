"""A still picture as the model sees it: patches that hold the same frame in every slot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from interaction.errors import InputError
from interaction.jsonfile import read_json
from interaction.modality.video import patchify


def _scale(size: tuple[int, int], directory: Path) -> tuple[int, int]:
    """A picture's size after the scaling that a checkpoint's preprocessor asks for."""
    raw: dict = {}
    for name in ("processor_config.json", "preprocessor_config.json"):
        if (directory / name).is_file():
            found = read_json(directory / name)
            nested = found.get("image_processor")
            raw |= nested if isinstance(nested, dict) else found
    factor = raw.get("rescale_image_frac")
    cap = raw.get("rescale_image_max_upscaled_long_edge", 2048)
    if factor is None:
        return size
    if not isinstance(factor, int | float) or factor <= 0:
        raise InputError(
            f"{directory}: rescale_image_frac={factor!r}; give a number above 0"
        )
    longest = max(size)
    target = longest * factor
    if cap is not None:
        target = min(target, max(cap, longest))
    ratio = target / longest
    # Half-up rounding, as the family's image processor has it.
    return int(size[0] * ratio + 0.5), int(size[1] * ratio + 0.5)


def picture_patches(path: Path, patch: int, frames: int, settings: Path) -> np.ndarray:
    """Patches of a picture file, row-major. -> float32 [P, frames, patch, patch, 3].

    settings: the directory of a checkpoint's preprocessor files, if it has any. Raises
    InputError when the file is no picture.
    """
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a picture ({error}); name another") from None
    size = _scale(image.size, settings)
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    still = np.asarray(image, np.uint8)
    pair = patchify(np.stack([still, still]), patch)
    return np.repeat(pair[:, :1], frames, axis=1)
