"""A profiler's trace of some steps, for TensorBoard's profile page."""

from __future__ import annotations

from pathlib import Path

import jax

from interaction.errors import InputError
from interaction.train import hosts

STEPS = 3  # traced where only the first is named


class Profile:
    """`STEP` or `STEP:N`: traces N steps from that one, of the first host. None: none."""

    def __init__(self, text: str | None, workdir: Path) -> None:
        self._directory = workdir / "tensorboard"
        self._first = self._last = 0
        self._running = False
        if text is None:
            return
        first, _, n = text.partition(":")
        try:
            self._first = int(first)
            self._last = self._first + int(n or STEPS) - 1
        except ValueError:
            self._first = 0
        if not 1 <= self._first <= self._last:
            raise InputError(f"--profile={text}; write STEP or STEP:N, both from 1 on")

    def before(self, step: int) -> None:
        if step == self._first and hosts.is_first():
            jax.profiler.start_trace(str(self._directory))
            self._running = True

    def after(self, step: int, result: jax.Array) -> None:
        """result: of the step, to wait for."""
        if self._running and step == self._last:
            jax.block_until_ready(result)
            self.close()

    def close(self) -> None:
        if self._running:
            jax.profiler.stop_trace()
            self._running = False
            print(f"profile: tensorboard --logdir {self._directory}", flush=True)
