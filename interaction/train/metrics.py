"""Where a run's numbers go: TensorBoard, a JSONL of every step, and the terminal."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
from tensorboardX import SummaryWriter

STREAMS = ("text", "control", "heard", "flow")


class Metrics:
    """`losses.jsonl` holds one line a step, and after a resume exactly one a step."""

    def __init__(self, workdir: Path, step: int, steps: int, log_every: int) -> None:
        self._path = workdir / "losses.jsonl"
        self._keep_until(step)
        self._lines = self._path.open("a")
        self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=step)
        self._steps, self._every = steps, log_every
        self._began = self._last = time.monotonic()
        self._first = step
        self._positions = 0
        self._wait = 0.0

    def _keep_until(self, step: int) -> None:
        if not self._path.exists():
            return
        lines = [x for x in self._path.read_text().splitlines() if x.endswith("}")]
        kept = [x for x in lines if json.loads(x)["step"] <= step]
        partial = self._path.with_suffix(".partial")
        partial.write_text("".join(line + "\n" for line in kept))
        os.replace(partial, self._path)

    def step(self, step: int, values: dict, positions: int, wait_s: float) -> None:
        """Numbers of the step that ended as number `step` (1 is the first)."""
        load = np.asarray(values.pop("load"))
        numbers = {name: float(v) for name, v in values.items()}
        # repr of a float32 as float64 is exact: equal lines mean equal bits
        self._lines.write(json.dumps({"step": step} | numbers) + "\n")
        self._positions += positions
        self._wait += wait_s
        if step % self._every and step != self._steps:
            return
        self._lines.flush()
        now = time.monotonic()
        rate = self._positions / max(now - self._last, 1e-9)
        waited = self._wait / max(now - self._last, 1e-9)
        eta = (now - self._began) / max(step - self._first, 1) * (self._steps - step)
        for name, value in numbers.items():
            self._board.add_scalar(f"train/{name}", value, step)
        self._board.add_scalar("speed/positions_per_s", rate, step)
        self._board.add_scalar("speed/data_wait", waited, step)
        for layer, row in enumerate(load):
            share = row / max(row.sum(), 1)
            self._board.add_scalar(f"router/max_share_layer_{layer}", share.max(), step)
        streams = "  ".join(f"{name} {numbers[name]:.3f}" for name in STREAMS)
        print(
            f"step {step}/{self._steps}  loss {numbers['loss']:.3f}  {streams}  "
            f"heard right {numbers['heard_accuracy']:.0%}  "
            f"text right {numbers['text_accuracy']:.0%}  "
            f"{rate:,.0f} pos/s  data wait {waited:.0%}  ETA {_clock(eta)}",
            flush=True,
        )
        self._last, self._positions, self._wait = now, 0, 0.0

    def flush(self) -> None:
        """Everything so far is on disk, should the process be killed."""
        self._lines.flush()
        os.fsync(self._lines.fileno())

    def audio(self, name: str, wave: np.ndarray, sample_rate: int, step: int) -> None:
        """wave: float32 [N, 2]."""
        self._board.add_audio(name, wave, step, sample_rate)

    def picture(self, name: str, pixels: np.ndarray, step: int) -> None:
        """pixels: uint8 [H, W, 3]."""
        self._board.add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        self._lines.close()
        self._board.close()


def _clock(seconds: float) -> str:
    minutes, s = divmod(int(seconds), 60)
    h, m = divmod(minutes, 60)
    return f"{h}:{m:02d}:{s:02d}"
