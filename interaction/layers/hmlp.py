"""hMLP: one patch of a pair of frames to one position, by linears over space to depth.

Touvron et al. 2022 (arXiv 2203.09795), as Inkling has it: a fold gathers a small square
(at last the pair of frames) into channels, then a linear without bias; RMSNorm and GELU
after every layer but the last, RMSNorm after it. Patches never see each other.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linear_sum_assignment

from interaction import ops
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.ops.groups import round_up
from interaction.ops.rows import matmul, rms_norm
from interaction.params import Params, Spec, fan_in, ones

CHANNELS = 3
EPS = 1e-6  # Inkling's, whatever the backbone's


class Scale(NamedTuple):
    """What is left of a patch: frames and pixels gathered so far, channels."""

    frames: int
    side: int
    channels: int


def _prime_products(n: int) -> list[int]:
    """Cumulative products of n's prime factors, the largest first. 40 -> 5, 10, 20, 40."""
    factors, p = [], 2
    while n > 1:
        while n % p == 0:
            factors.append(p)
            n //= p
        p += 1
    return np.cumprod(factors[::-1]).tolist() if factors else [1]


@functools.cache
def plan(patch: int, frames: int, layers: int) -> tuple[Scale, ...]:
    """Scales between Inkling's hMLP layers, `layers + 1` of them, input included.

    Candidates fold one prime factor more each, space before time, with channels enough
    to lose little: three per pixel gathered, rounded up to 64 (64 times as many between
    folds of time, which only patches of more than two frames have). Those are taken
    whose gathered sizes are closest to log-uniform: each its nearest where there are
    layers to spare, else one-to-one at the least total distance.
    """
    wide = lambda pixels: math.ceil(pixels * CHANNELS / 64) * 64  # noqa: E731
    sides, times = _prime_products(patch), _prime_products(frames)
    scales = [Scale(1, 1, CHANNELS)]
    scales += [Scale(1, h, wide(h * h)) for h in sides]
    whole = sides[-1] ** 2 * CHANNELS * 64
    scales += [Scale(t, sides[-1], whole * t) for t in times]
    total = float(patch * patch * frames * CHANNELS)
    ideal = np.linspace(0, np.log(np.float32(total)), layers + 1, dtype=np.float32)
    sizes = np.array([s.frames * s.side**2 for s in scales], np.float32)
    distance = np.abs(ideal[:, None] - np.log(sizes)[None])
    if layers >= len(scales):
        chosen = distance.argmin(1)
    else:
        chosen = linear_sum_assignment(distance)[1]
    chosen[0], chosen[-1] = 0, len(scales) - 1
    return tuple(scales[i] for i in chosen)


def folds(cfg: ModelConfig) -> tuple[tuple[int, int], ...]:
    """(frames, side) that each layer folds. Patch 40, 4 layers: 5, 2, 4, the pair."""
    scales = plan(cfg.patch, cfg.patch_frames, len(cfg.patch_widths) + 1)
    steps = zip(scales, scales[1:], strict=False)
    return tuple((b.frames // a.frames, b.side // a.side) for a, b in steps)


def specs(cfg: ModelConfig) -> dict[str, Spec]:
    widths = (CHANNELS, *cfg.patch_widths, cfg.width)
    layers: dict[str, Spec] = {}
    for i, (t, side) in enumerate(folds(cfg)):
        axis = "embed" if i == len(cfg.patch_widths) else None
        shape = (t * side * side * widths[i], widths[i + 1])
        if min(shape) < 1:
            raise InputError(f"model.patch_widths={cfg.patch_widths}: use 1 or more")
        layers[f"w{i}"] = Spec(shape, (None, axis), fan_in)
        layers[f"norm{i}"] = Spec(shape[1:], (None,), ones)
    return layers


def _lanes(n: int) -> int:
    """Patches, filled up to whole rows of a TPU's registers where there are many."""
    return n if n < 128 else round_up(n, 128)


def hmlp(params: Params, cfg: ModelConfig, pixels: jax.Array) -> jax.Array:
    """Normalised patches [..., F, S, S, 3] -> [..., D].

    Inside, patches are the last axis but the channels: a fold then moves no patch, and
    XLA's TPU backend finds a layout for it. With patches first, three channels and squares
    of five would be shuffled inside registers.
    """
    *lead, F, S, _, _ = pixels.shape
    n, o = math.prod(lead), ops.of(cfg)
    N = _lanes(n)
    x = jnp.pad(o.cast(pixels, cfg.dtype).reshape(n, -1), ((0, N - n), (0, 0)))
    x = x.T.reshape(F, S, S, CHANNELS, N)
    for i, (t, side) in enumerate(folds(cfg)):
        f, h, w = x.shape[0] // t, x.shape[1] // side, x.shape[2] // side
        x = x.reshape(f, t, h, side, w, side, *x.shape[3:])
        if i == 0:  # channels before patches, still
            x = x.transpose(0, 2, 4, 1, 3, 5, 6, 7).reshape(f * h * w, -1, N)
            x = jnp.swapaxes(x, 1, 2)
        else:
            x = x.transpose(0, 2, 4, 6, 1, 3, 5, 7)
        x = matmul(o, x.reshape(f, h, w, N, -1), params[f"w{i}"])
        x = rms_norm(o, x, params[f"norm{i}"], EPS)
        if i < len(cfg.patch_widths):
            gelu = jax.nn.gelu(x.astype(jnp.float32), approximate=False)
            x = o.cast(gelu, cfg.dtype)
    return x.reshape(N, -1)[:n].reshape(*lead, -1)
