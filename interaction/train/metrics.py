"""Where a run's numbers go: TensorBoard, a JSONL of every step, and the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX import SummaryWriter

from interaction.train import lines
from interaction.train.speed import Clock, memory_bytes

STREAMS = ("text", "control", "heard", "flow")


class Metrics:
    """`losses.jsonl` holds one line a step, and after a resume exactly one a step. For one
    host to write. flop: work of a position; peak: FLOP/s of all devices, where known;
    memory: what `memory_bytes` gives."""

    def __init__(
        self,
        workdir: Path,
        step: int,
        steps: int,
        log_every: int,
        flop: float = 0.0,
        peak: float | None = None,
        memory: Callable[[], dict[str, int]] = memory_bytes,
    ) -> None:
        path = workdir / "losses.jsonl"
        lines.cut(path, step)
        self._lines = lines.Lines(path)
        self._directory, self._files = workdir / "tensorboard", 0
        self._board = self._next_file(purge_step=step)
        self._steps, self._every = steps, log_every
        self._clock, self._memory = Clock(step, steps, flop, peak), memory

    def _next_file(self, purge_step: int | None = None) -> SummaryWriter:
        self._files += 1  # a name's own time is in whole seconds
        suffix = f".{self._files}"
        return SummaryWriter(
            str(self._directory), purge_step=purge_step, filename_suffix=suffix
        )

    def step(
        self,
        step: int,
        values: dict,
        positions: int,
        wait_s: float,
        skipped: str | None = None,
        rows: str = "",
    ) -> None:
        """Numbers of the step that ended as number `step` (1 is the first).

        values: scalars by name; load float32 [L, X], positions of each sparse layer's
        experts; bias float32 [L, X], of its router, where it is to be logged. skipped: why
        the step changed nothing; its line says so, with its rows, and has no number where
        one is not finite.
        """
        load, bias = np.asarray(values.pop("load")), values.pop("bias", None)
        numbers = {name: float(v) for name, v in values.items()}
        # repr of a float32 as float64 is exact: equal lines mean equal bits
        line: dict[str, Any] = {
            n: v if math.isfinite(v) else None for n, v in numbers.items()
        }
        if skipped:
            line |= {"skipped": skipped, "rows": rows}
            print(f"step {step} skipped: {skipped}; rows {rows}", flush=True)
        self._lines.add(step, line)
        self._clock.add(positions, wait_s)
        if step % self._every and step != self._steps:
            return
        self._lines.flush()
        speed, memory = self._clock.read(step), self._memory()
        self._log(step, numbers, speed, memory)
        self._routers(step, load, bias)
        self._say(step, numbers, speed, memory)

    def _log(self, step: int, numbers: dict, speed: dict, memory: dict) -> None:
        for name, value in numbers.items():
            self._board.add_scalar(f"train/{name}", value, step)
        for name in ("positions_per_s", "data_wait", "mfu"):
            if name in speed:
                self._board.add_scalar(f"speed/{name}", speed[name], step)
        for name, value in memory.items():
            self._board.add_scalar(f"memory/{name}", value, step)

    def _routers(self, step: int, load: np.ndarray, bias: np.ndarray | None) -> None:
        shares = load / np.maximum(load.sum(-1, keepdims=True), 1)
        rows = {"share": shares} | ({} if bias is None else {"bias": np.asarray(bias)})
        for what, by_layer in rows.items():
            for layer, row in enumerate(by_layer):
                if not np.isfinite(row).all():
                    continue  # of a skipped step
                for name in ("min", "mean", "max"):
                    tag = f"router/{name}_{what}_layer_{layer}"
                    self._board.add_scalar(tag, getattr(row, name)(), step)
                self._board.add_histogram(f"router/{what}_layer_{layer}", row, step)

    def _say(self, step: int, numbers: dict, speed: dict, memory: dict) -> None:
        streams = "  ".join(f"{name} {numbers[name]:.3f}" for name in STREAMS)
        mfu = f"MFU {speed['mfu']:.1%}  " if "mfu" in speed else ""
        hbm = memory.get("peak_bytes_in_use", memory.get("bytes_in_use"))
        held = "" if hbm is None else f"HBM {hbm / 2**30:.1f} GiB  "
        print(
            f"step {step}/{self._steps}  loss {numbers['loss']:.3f}  {streams}  "
            f"heard right {numbers['heard_accuracy']:.0%}  "
            f"text right {numbers['text_accuracy']:.0%}  "
            f"{speed['positions_per_s']:,.0f} pos/s  {mfu}{held}"
            f"data wait {speed['data_wait']:.0%}  ETA {_clock(speed['eta_s'])}",
            flush=True,
        )

    def flush(self) -> None:
        """Everything so far is on disk, should the process be killed. TensorBoard's goes on
        in another file: a bucket that is mounted has what was closed."""
        self._lines.flush(to_disk=True)
        self._board.close()
        self._board = self._next_file()

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
