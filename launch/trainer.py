"""A training run's hosts as processes of this machine, watched from outside."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from interaction.train import manifest
from launch import local

PATIENCE_S = 1800.0  # without a step


class Failed(Exception):
    """What is wrong with a run."""


class Trainer:
    """A run's hosts as processes, and what is to be seen of them from outside."""

    def __init__(self, command: list[str], workdir: Path, hosts: int, devices: int) -> None:
        self._command = [*command, f"--workdir={workdir}"]
        self.workdir, self.hosts, self.devices = workdir, hosts, devices
        self._log = workdir.with_suffix(".log")
        self.processes: list[subprocess.Popen] = []
        self.start_s = 0.0  # until the first step is on record, when last let through

    def start(self) -> None:
        self._from = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("a") as log:
            self.processes = local.start(
                self._command, self.hosts, self.devices, log.fileno()
            )

    def said(self) -> str:
        """What all hosts have printed since the start."""
        with self._log.open(errors="replace") as log:
            log.seek(self._from)
            return log.read()

    def step(self) -> int:
        """The last step on record."""
        try:
            lines = (self.workdir / "losses.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return 0
        whole = [line for line in lines if line.endswith("}")]
        return json.loads(whole[-1])["step"] if whole else 0

    def checkpoints(self) -> dict[int, bool]:
        """Numbered directories there are now, oldest first, and whether each is whole."""
        found = (self.workdir / "checkpoints").glob("[0-9]*")
        numbers = sorted(int(p.name) for p in found if p.name.isdigit())
        return {n: self._whole(self.workdir / "checkpoints" / str(n)) for n in numbers}

    def _whole(self, directory: Path) -> bool:
        return manifest.is_finished(directory) and not manifest.faults(directory)

    def newest_whole(self) -> int:
        return max((n for n, whole in self.checkpoints().items() if whole), default=0)

    def saving(self) -> bool:
        found = (self.workdir / "checkpoints").glob("*")
        return any(not manifest.is_finished(directory) for directory in found)

    def until(self, found: Callable[[], bool]) -> bool:
        """Wait. -> False where the run came to its end first. Raises Failed when a host
        does, or when nothing happens for long."""
        step, since = -1, time.monotonic()
        while not found():
            codes = [process.poll() for process in self.processes]
            if any(codes):
                raise Failed(f"a host ended with status {codes}: {self.said()[-400:]}")
            if None not in codes:
                return False
            if self.step() != step:
                step, since = self.step(), time.monotonic()
            if time.monotonic() - since > PATIENCE_S:
                raise Failed(f"no step in {PATIENCE_S:.0f} s")
            time.sleep(0.02)
        return True

    def resumed(self) -> int | None:
        """Where it went on: 0 for a new run; None while it is not known."""
        _, mark, rest = self.said().partition("resumed at step ")
        if mark and "\n" in rest:
            return int(rest.split()[0])
        return 0 if f"step {self.step()}/" in self.said() else None

    def stop(self, grace_s: float = 0.0) -> None:
        local.end(self.processes, grace_s)


def let_through(trainer: Trainer) -> None:
    """To its end. Raises Failed."""
    began = time.monotonic()
    trainer.start()
    try:
        trainer.until(lambda: trainer.step() > 0)
        trainer.start_s = time.monotonic() - began
        trainer.until(lambda: False)
    finally:
        trainer.stop()
