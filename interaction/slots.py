"""The device's half of conversations: fixed slots, all advanced by one program."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from numpy.typing import ArrayLike

from interaction import state, step
from interaction.blocks import TurnInput, pack_turn, sizes
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.grammar import AUDIO_PER_TURN
from interaction.memory import keep_freed_memory
from interaction.modality.audio import BINS, MELS
from interaction.modality.text import Text
from interaction.modality.video import PAIR
from interaction.package import Package
from interaction.parallel.placement import place_params


class Slots:
    """Preallocated state of `count` conversations; nothing grows, or compiles again.

    Raises InputError when the package is not of a model that can converse, or a mesh does
    not divide the slots.
    """

    def __init__(self, package: Package, count: int, mesh: Mesh | None = None) -> None:
        if count < 1:
            raise InputError(f"slots={count}; use 1 or more")
        if package.text is None:
            raise InputError(f"{package.path} has no tokenizer.json; put one there")
        cfg = package.cfg
        if (cfg.mels, cfg.mel_bins, cfg.patch_frames) != (MELS, BINS, PAIR):
            raise InputError(
                f"{package.path}: sound of {cfg.mels} x {cfg.mel_bins} and patches of "
                f"{cfg.patch_frames} frames; sessions need {MELS} x {BINS} and {PAIR}"
            )
        keep_freed_memory()
        self.count = count
        self.text: Text = package.text
        self._package = package
        self._mesh = mesh
        self._params = place_params(package.params, cfg, mesh)
        self._state = state.empty_state(cfg, count, np.zeros(count, np.int64), mesh)
        self.written = np.zeros(count, np.int32)  # positions of each conversation
        self._warm_up()

    @property
    def cfg(self) -> ModelConfig:
        return self._package.cfg

    def _warm_up(self) -> None:
        """Compile both block sizes and the frame."""
        cfg = self.cfg
        bins = np.zeros((AUDIO_PER_TURN, MELS), np.uint8)
        grid = (cfg.patches_per_frame, PAIR, cfg.patch, cfg.patch, 3)
        for _, patches in sizes(cfg):
            pixels = np.zeros(grid, np.float32) if patches else None
            self.advance([TurnInput(bins, pixels)] * self.count, np.zeros(self.count))
        self.begin(np.ones(self.count, bool), np.zeros(self.count))

    def begin(self, clear_B: ArrayLike, seed_B: ArrayLike) -> None:
        """New conversations in the slots where `clear` is true, each with its own seed."""
        clear, seed = jnp.asarray(clear_B, bool), jnp.asarray(seed_B, int)
        self._state = state.restart(self._state, clear, seed, cfg=self.cfg)
        self.written[np.asarray(clear_B, bool)] = 0

    def advance(
        self, turns: Sequence[TurnInput], temperature_B: ArrayLike
    ) -> tuple[step.Heard, step.Frame]:
        """One micro-turn of the slots whose turn is live; on the host, slots first."""
        cfg, mesh = self.cfg, self._mesh
        live = jnp.asarray([turn.live for turn in turns])
        block = pack_turn(cfg, turns)
        self._state, heard = step.ingest(
            self._params, self._state, block, cfg=cfg, mesh=mesh
        )
        self._state, frame = step.emit(
            self._params,
            self._package.wave,
            self._state,
            live,
            jnp.asarray(temperature_B, jnp.float32),
            cfg=cfg,
            mesh=mesh,
        )
        heard, frame, cursor = jax.device_get((heard, frame, self._state.cache.cursor))
        self.written = np.array(cursor)  # a copy: the state is donated
        return heard, frame

    def take(self, slot: int) -> state.State:
        """All that a slot carries, copied to the host; each array has one slot."""
        return jax.device_get(state.take(self._state, slot, cfg=self.cfg, mesh=self._mesh))

    def put(self, slot: int, row: state.State) -> None:
        """Carry on in this slot with what `take` gave."""
        self._state = state.put(self._state, slot, row, mesh=self._mesh)
        self.written[slot] = np.asarray(row.cache.cursor)[0]
