"""Pictures for the camera: a few shapes of one colour, drawn with noise."""

from __future__ import annotations

import numpy as np

from interaction.data.scenes.plan import Outline, Picture
from interaction.data.scenes.words import COLOURS

HEIGHT, WIDTH = 40, 80  # two patches of 40 x 40
_CELL = 20  # each shape keeps to a cell of its own
_RGB = {
    "red": (215, 30, 30),
    "blue": (35, 60, 220),
    "green": (30, 160, 50),
    "yellow": (235, 215, 30),
    "white": (250, 250, 250),
    "pink": (245, 130, 185),
}
_SHAPES: tuple[Outline, ...] = ("circle", "square")
_y, _x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)


def is_held_out(colour: str, count: int, shape: Outline) -> bool:
    """Six of the sixty combinations, every colour and every count among them."""
    return (COLOURS.index(colour) + 2 * count + 5 * _SHAPES.index(shape)) % 10 == 0


def sample_picture(rng: np.random.Generator, held_out: bool) -> Picture:
    while True:
        colour = COLOURS[rng.integers(len(COLOURS))]
        count, shape = int(rng.integers(1, 6)), _SHAPES[rng.integers(2)]
        if is_held_out(colour, count, shape) == held_out:
            light, seed = bool(rng.random() < 0.5), int(rng.integers(2**31))
            return Picture(colour, count, shape, light, seed)


def draw(picture: Picture, pairs: int) -> np.ndarray:
    """uint8[pairs, 2, 40, 80, 3]: the shapes drift a little from frame to frame."""
    rng = np.random.default_rng(picture.seed)
    cells = rng.permutation((HEIGHT // _CELL) * (WIDTH // _CELL))[: picture.count]
    corner = np.stack(np.divmod(cells, WIDTH // _CELL), 1) * _CELL
    radius = rng.uniform(5, 7.5, picture.count)
    centre = corner + _CELL / 2 + rng.uniform(-2, 2, (picture.count, 2))
    low, high = (140, 190) if picture.light else (0, 50)
    background = rng.uniform(low, high) + rng.uniform(-8, 8, 3)
    colour = np.array(_RGB[picture.colour]) + rng.uniform(-15, 15, 3)
    frames = np.empty((pairs * 2, HEIGHT, WIDTH, 3), np.float32)
    for frame in frames:
        frame[:] = background
        moved = centre + rng.uniform(-1, 1, centre.shape)
        for (cy, cx), r in zip(moved, radius, strict=True):
            dy, dx = np.abs(_y - cy), np.abs(_x - cx)
            circle = picture.shape == "circle"
            inside = dy**2 + dx**2 < r**2 if circle else np.maximum(dy, dx) < r * 0.9
            frame[inside] = colour
    frames += rng.normal(0, rng.uniform(2, 10), frames.shape)
    return np.clip(frames, 0, 255).astype(np.uint8).reshape(pairs, 2, HEIGHT, WIDTH, 3)
