"""One conversation, or several in lockstep: `Session.open`, `.step`, `.reset`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import jax
import numpy as np

from interaction.config import ModelConfig
from interaction.conversation import TURN_S, Conversation, Event, Output, Words, row
from interaction.errors import InputError
from interaction.package import Package, open_package
from interaction.slots import Slots


class Session:
    """Conversations on preallocated device state; nothing grows with their age.

    With `slots=1`, `step` takes and returns single values; with more, sequences of them.
    With a mesh (`interaction.parallel.mesh.make_mesh`), every device runs its part.
    """

    def __init__(
        self,
        package: Package,
        slots: int = 1,
        seed: int = 0,
        temperature: float = 0.0,
        mesh: jax.sharding.Mesh | None = None,
    ) -> None:
        self.package = package
        self.slots = slots
        self.turn_ms = round(1000 * TURN_S)
        self._device = Slots(package, slots, mesh)
        self._seeds = np.arange(seed, seed + slots)
        self._temperature = np.full(slots, temperature, np.float32)
        self.reset()

    @classmethod
    def open(
        cls,
        name_or_path: str | Path,
        slots: int = 1,
        seed: int = 0,
        temperature: float = 0.0,
    ) -> Session:
        """Open a shipped model by name, or a directory. Compiles everything once.

        temperature: of text and control tokens; 0 takes the likeliest. Raises InputError
        when there is no such checkpoint or it does not fit its config.
        """
        return cls(open_package(name_or_path), slots, seed, temperature)

    @property
    def config(self) -> ModelConfig:
        return self.package.cfg

    @property
    def turn(self) -> int:
        """Micro-turns since the conversation began."""
        return self._talks[0].turn

    @property
    def transcript(self) -> list[Event] | list[list[Event]]:
        """Events so far, in order of time."""
        ordered = [sorted(events, key=lambda e: e.t_s) for events in self._events]
        return ordered[0] if self.slots == 1 else ordered

    def reset(self, seeds: Sequence[int] | None = None) -> None:
        """Forget the conversation; the next one is as if newly opened. seeds: of each
        slot, in place of seed, seed + 1, ..."""
        if seeds is not None and len(seeds) != self.slots:
            raise InputError(f"reset: {len(seeds)} seeds for {self.slots} slots")
        begun = self._seeds if seeds is None else np.array(seeds)
        self._device.begin(np.ones(self.slots, bool), begun)
        text = self._device.text
        self._talks = [Conversation(self.config, text) for _ in range(self.slots)]
        self._events: list[list[Event]] = [[] for _ in range(self.slots)]

    @overload
    def step(
        self,
        audio: np.ndarray,
        frames: np.ndarray | None = None,
        text: str | Sequence[Words] | None = None,
    ) -> Output: ...

    @overload
    def step(
        self,
        audio: Sequence[np.ndarray],
        frames: Sequence[np.ndarray | None] | None = None,
        text: Sequence[str | Sequence[Words] | None] | None = None,
    ) -> list[Output]: ...

    def step(
        self,
        audio: np.ndarray | Sequence[np.ndarray],
        frames: np.ndarray | Sequence[np.ndarray | None] | None = None,
        text: str | Sequence[Words] | Sequence[str | Sequence[Words] | None] | None = None,
    ) -> Output | list[Output]:
        """One micro-turn: 200 ms in, 200 ms out.

        audio: float32 [3200] at 16 kHz; frames: uint8 [2, H, W, 3] or None (the model
        looks every `config.frame_period` turns and lets the others pass); text: typed by
        the user, or `Words`, which may be others', or None. With several slots: one of
        each per slot. Raises InputError on other shapes or on samples that are not finite.
        """
        single = self.slots == 1
        given = [audio] if single else list(audio)
        pairs = [frames] if single else self._per_slot(frames, "frames")
        texts = [text] if single else self._per_slot(text, "text")
        if len(given) != self.slots:
            raise InputError(f"step: {len(given)} audio inputs for {self.slots} slots")
        began = time.perf_counter()
        # All inputs are checked before any slot moves: a bad one must not leave its
        # neighbours half a turn ahead.
        looked = [
            talk.check(*each)
            for talk, *each in zip(self._talks, given, pairs, texts, strict=True)
        ]
        turns = [talk.take(each) for talk, each in zip(self._talks, looked, strict=True)]
        heard, frame = self._device.advance(turns, self._temperature)
        compute_ms = 1e3 * (time.perf_counter() - began)
        outputs = [
            talk.give(row(heard, slot), row(frame, slot), turns[slot], compute_ms)
            for slot, talk in enumerate(self._talks)
        ]
        for events, out in zip(self._events, outputs, strict=True):
            events += out.events
        return outputs[0] if single else outputs

    def _per_slot(self, given: Sequence | np.ndarray | None, name: str) -> list[Any]:
        if given is None:
            return [None] * self.slots
        if isinstance(given, str | np.ndarray) or len(given) != self.slots:
            raise InputError(
                f"step: give {name} as a list, one for each of {self.slots} slots"
            )
        return list(given)
