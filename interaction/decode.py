"""Text from a backbone alone: teacher-forced logits, and continuation with a cache.

What the background model runs on: the same `forward` and the same cache as everything
else, without micro-turns. A position is a token, a frame of sound or a patch of a picture.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from interaction import model
from interaction.cache import Cache, empty_cache
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.grammar import Kind
from interaction.modality.audio import PATCH_DIM
from interaction.model import Block
from interaction.params import Params

CHUNK = 256  # positions of a prefill block


class Prompt(NamedTuple):
    """ids int [B, T]; where they are a placeholder, rows of `dmel` uint8 [B, A, mels] or
    `patches` float32 [B, P, F, S, S, 3] stand, in order."""

    ids: np.ndarray
    kind: np.ndarray
    row: np.ndarray
    dmel: np.ndarray
    patches: np.ndarray


def make_prompt(
    cfg: ModelConfig,
    ids: np.ndarray,
    audio_token: int = -1,
    image_token: int = -1,
    dmel: np.ndarray | None = None,
    patches: np.ndarray | None = None,
) -> Prompt:
    """Inputs of a text model. dmel, patches: one row of each for every session, or one
    for all; their number must be that of the placeholders.

    Raises InputError for ids out of range or another number of placeholders.
    """
    ids = np.atleast_2d(np.asarray(ids))
    if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer) or not ids.size:
        raise InputError(f"ids are {ids.dtype}{list(ids.shape)}; give int [T] or [B, T]")
    low, high = ids.min(), ids.max()
    if low < 0 or high >= cfg.vocab:
        raise InputError(f"ids reach from {low} to {high}; they must be 0..{cfg.vocab - 1}")
    B = len(ids)
    shape = (cfg.patch_frames, cfg.patch, cfg.patch, 3)
    if dmel is None:
        dmel = np.zeros((B, 0, cfg.mels), np.uint8)
    if patches is None:
        patches = np.zeros((B, 0, *shape), np.float32)
    dmel = _rows(dmel, B, (cfg.mels,), "dMel")
    patches = _rows(patches, B, shape, "patches")
    if not np.issubdtype(dmel.dtype, np.integer):
        raise InputError(f"dMel bins are {dmel.dtype}; give whole numbers")
    if dmel.size and not 0 <= dmel.min() <= dmel.max() < cfg.mel_bins:
        raise InputError(
            f"dMel bins reach from {dmel.min()} to {dmel.max()}; use 0..{cfg.mel_bins - 1}"
        )
    kind = np.full(ids.shape, Kind.TEXT, np.int32)
    row = np.zeros(ids.shape, np.int32)
    for what, token, rows, k in (
        ("audio", audio_token, dmel, Kind.AUDIO_IN),
        ("image", image_token, patches, Kind.PATCH),
    ):
        here = (ids == token) & (rows.shape[1] > 0)
        found = here.sum(1)
        if (found != rows.shape[1]).any():
            raise InputError(
                f"{what}: {rows.shape[1]} rows for {found.tolist()} placeholders (id "
                f"{token}); give as many"
            )
        kind[here] = k
        row = np.where(here, np.cumsum(here, 1) - 1, row)
    return Prompt(ids.astype(np.int32), kind, row.astype(np.int32), dmel, patches)


def _rows(rows: np.ndarray, B: int, shape: tuple[int, ...], what: str) -> np.ndarray:
    rows = np.asarray(rows)
    if rows.ndim == len(shape) + 1:
        rows = np.broadcast_to(rows, (B, *rows.shape))
    if rows.ndim != len(shape) + 2 or len(rows) != B or rows.shape[2:] != shape:
        raise InputError(f"{what} are {list(rows.shape)}; give [{B}, n, {list(shape)}]")
    return rows


def as_block(cfg: ModelConfig, prompt: Prompt, a: int, b: int, width: int) -> Block:
    """Positions a..b of a prompt in a block of `width`, with the rows that they need."""
    B = len(prompt.ids)
    pad = lambda x: np.pad(x[:, a:b], ((0, 0), (0, width - (b - a))))  # noqa: E731
    row, parts = pad(prompt.row), []
    for rows, kind in ((prompt.dmel, Kind.AUDIO_IN), (prompt.patches, Kind.PATCH)):
        here = pad(prompt.kind) == kind
        if not here.any():
            parts.append(rows[:, :0])
            continue
        # A session's first row in this block and as many as a block can need, so that
        # all blocks are of one shape.
        n = min(width, rows.shape[1])
        first = np.where(here, row, rows.shape[1]).min(1)
        first = np.minimum(first, rows.shape[1] - n)
        row = np.where(here, row - first[:, None], row)
        parts.append(np.stack([r[f : f + n] for r, f in zip(rows, first, strict=True)]))
    dmel, patches = parts
    return Block(
        pad(prompt.kind),
        pad(prompt.ids),
        row,
        dmel,
        patches,
        np.zeros((B, 0, PATCH_DIM), np.float32),
        np.full((B,), b - a, np.int32),
    )


@functools.partial(jax.jit, static_argnames="cfg")
def _all_logits(params: Params, block: Block, *, cfg: ModelConfig) -> jax.Array:
    hidden = model.forward(params, cfg, block).hidden
    return model.logits(params, cfg, hidden)[..., : cfg.vocab_used]


def teacher_forced(params: Params, cfg: ModelConfig, prompt: Prompt) -> np.ndarray:
    """Logits of every position. -> float32 [B, T, vocab_used]."""
    T = prompt.ids.shape[1]
    cfg = with_horizon(cfg, T)
    return np.asarray(_all_logits(params, as_block(cfg, prompt, 0, T, T), cfg=cfg))


def with_horizon(cfg: ModelConfig, positions: int) -> ModelConfig:
    """A config whose global layers see all of `positions`: text generation forgets
    nothing, whatever the horizon of a conversation."""
    need = -(-max(positions, cfg.window, cfg.global_extent) // CHUNK) * CHUNK
    return dataclasses.replace(cfg, horizon=need)


@functools.partial(jax.jit, static_argnames="cfg", donate_argnames="cache")
def extend(
    params: Params, cache: Cache, block: Block, *, cfg: ModelConfig
) -> tuple[Cache, jax.Array]:
    """-> logits after the block's last valid position, [B, vocab_used]."""
    out = model.forward(params, cfg, block, cache)
    assert out.cache is not None  # one went in
    last = out.hidden[jnp.arange(len(block.n_valid)), block.n_valid - 1]
    return out.cache, model.logits(params, cfg, last)[:, : cfg.vocab_used]


@jax.jit
def choose(
    logits_BV: jax.Array, key: jax.Array, temperature: jax.Array, top_p: jax.Array
) -> jax.Array:
    """The likeliest token at temperature 0; else a draw from the smallest set of tokens
    that has `top_p` of the probability. -> int32 [B]."""
    scaled = logits_BV / jnp.maximum(temperature, 1e-6)
    order = jnp.sort(scaled, axis=-1)[:, ::-1]
    mass = jnp.cumsum(jax.nn.softmax(order, axis=-1), axis=-1)
    kept = jnp.where(mass - jax.nn.softmax(order, axis=-1) < top_p, order, jnp.inf)
    drawn = jax.random.categorical(
        key, jnp.where(scaled >= kept.min(-1, keepdims=True), scaled, -jnp.inf)
    )
    return jnp.where(temperature > 0, drawn, logits_BV.argmax(-1)).astype(jnp.int32)


class Sampling(NamedTuple):
    """How tokens are chosen. temperature 0: the likeliest."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


def continuation(
    params: Params,
    cfg: ModelConfig,
    prompt: Prompt,
    max_tokens: int,
    sampling: Sampling = Sampling(),  # noqa: B008
) -> Iterator[np.ndarray]:
    """Tokens after a prompt, one step at a time, int32 [B] each. Endless up to
    `max_tokens`: stopping is the caller's."""
    B, T = prompt.ids.shape
    cfg = with_horizon(cfg, T + max_tokens)
    cache = empty_cache(cfg, B, CHUNK)
    for a in range(0, T, CHUNK):
        block = as_block(cfg, prompt, a, min(a + CHUNK, T), CHUNK)
        cache, logits = extend(params, cache, block, cfg=cfg)
    key = jax.random.key(sampling.seed)
    nothing = prompt._replace(dmel=prompt.dmel[:, :0], patches=prompt.patches[:, :0])
    one = np.ones((B, 1), np.int32)
    for i in range(max_tokens):
        step_key = jax.random.fold_in(key, i)
        token = choose(logits, step_key, sampling.temperature, sampling.top_p)
        chosen = np.asarray(token)
        yield chosen
        if i + 1 < max_tokens:
            now = nothing._replace(ids=chosen[:, None], kind=one * Kind.TEXT, row=one * 0)
            cache, logits = extend(params, cache, as_block(cfg, now, 0, 1, 1), cfg=cfg)
