"""What parity is tried on: a model, and sessions that hear, see, read and speak."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from interaction import model
from interaction.blocks import TurnInput
from interaction.config import ModelConfig
from interaction.grammar import AUDIO_PER_TURN
from interaction.modality import waveform
from interaction.params import Params, initialise


class Talk(NamedTuple):
    """What `slots` sessions bring, turn by turn. seeds: one a session."""

    turns: list[list[TurnInput]]
    seeds: np.ndarray


class Subject(NamedTuple):
    """A model under test."""

    cfg: ModelConfig
    params: Params
    wave: dict


def random_subject(cfg: ModelConfig, seed: int = 0) -> Subject:
    """Random parameters, with every product that starts at zero made to matter."""
    params = initialise(model.specs(cfg), jax.random.key(seed))
    head = params["flow"]
    draw = lambda i, x: 0.3 * jax.random.normal(jax.random.key(seed + i), x.shape)  # noqa: E731
    head["out"] = draw(1, head["out"])
    for i, block in enumerate(head["blocks"]):
        block["mod"] = draw(2 + i, block["mod"])
    return Subject(cfg, params, waveform.init(jax.random.key(seed + 99)))


def random_talk(cfg: ModelConfig, slots: int, turns: int, seed: int = 0) -> Talk:
    """Sound all the time, now and then a picture or typed words; session s begins at
    turn 2 s, so that ages differ."""
    rng = np.random.default_rng(seed)
    shape = (cfg.patches_per_frame, cfg.patch_frames, cfg.patch, cfg.patch, 3)

    def one(k: int, slot: int) -> TurnInput:
        bins = rng.integers(0, cfg.mel_bins, (AUDIO_PER_TURN, cfg.mels)).astype(np.uint8)
        pixels = rng.standard_normal(shape, np.float32) if rng.random() < 0.2 else None
        words = rng.integers(0, cfg.vocab_used, rng.integers(1, 5))
        text = tuple(map(int, words)) if rng.random() < 0.2 else ()
        return TurnInput(bins, pixels, text, live=k >= 2 * slot)

    grid = [[one(k, slot) for slot in range(slots)] for k in range(turns)]
    return Talk(grid, np.arange(slots) + 7)
