"""A profiler's trace of some steps, for TensorBoard's profile page.

    python -m interaction.train … --profile=100:5    # steps 100 to 104
    echo 5 > WORKDIR/profile                         # of a run under way: the next five

The file may be empty. It is looked for between steps, every few seconds, and is gone when
it is taken. Both trace the first host.
"""

from __future__ import annotations

import time
from pathlib import Path

import jax

from interaction.errors import InputError
from interaction.train import hosts

STEPS = 3  # traced where no number is given
LOOKS_S = 5.0  # between two looks for the file: on a bucket each is a request


class Profile:
    """`STEP` or `STEP:N`: traces N steps from that one, of the first host. None: only what
    is asked for while the run is under way."""

    def __init__(self, text: str | None, workdir: Path) -> None:
        self._directory = workdir / "tensorboard"
        self._asked, self._next_look = workdir / "profile", 0.0
        self._first = self._count = self._last = 0
        self._running = False
        if text is None:
            return
        first, _, n = text.partition(":")
        try:
            self._first, self._count = int(first), int(n or STEPS)
        except ValueError:
            self._first = 0
        if min(self._first, self._count) < 1:
            raise InputError(f"--profile={text}; write STEP or STEP:N, both from 1 on")

    def before(self, step: int) -> None:
        if self._running or not hosts.is_first():
            return
        count = self._count if step == self._first else self._asked_for()
        if count:
            jax.profiler.start_trace(str(self._directory))
            self._running, self._last = True, step + count - 1

    def _asked_for(self) -> int:
        """Steps that the file asks for; 0 where there is none, or none that can be read: a
        run does not end for it."""
        if time.monotonic() < self._next_look:
            return 0
        self._next_look = time.monotonic() + LOOKS_S
        try:
            text = self._asked.read_text(errors="replace").strip()
            self._asked.unlink()  # before it is obeyed: what cannot go would be for ever
        except OSError:
            return 0
        if text.isdecimal() and int(text):
            return int(text)
        if text:
            print(
                f"{self._asked}: {text[:40]!r} is no number of steps; {STEPS} are traced",
                flush=True,
            )
        return STEPS

    def after(self, step: int, result: jax.Array) -> None:
        """result: of the step, to wait for."""
        if self._running and step >= self._last:
            jax.block_until_ready(result)
            self.close()

    def close(self) -> None:
        if self._running:
            jax.profiler.stop_trace()
            self._running = False
            print(f"profile: tensorboard --logdir {self._directory}", flush=True)
