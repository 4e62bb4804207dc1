"""Fire drills: a training run on several hosts of this machine, disturbed over and over.

    python -m launch.drill --config=tests/tiny.py --drills=20
    python -m launch.drill --config=configs/nano.py --drills=5 --hosts=4 --devices=2 \\
        --config.data.positions=128 --seed=7 --report=drill.json

Each drill starts the run where the last one left it, disturbs it and looks at what is
left: a host is killed (kill -9) at a random step, in the middle of a save, or while it
starts; SIGTERM reaches one host; a byte of the newest checkpoint is flipped, or a file of
it removed. At the end the run is let through. Passed are: the losses of an undisturbed
run to the last bit, every row of the data once, every restart at the newest checkpoint
that is whole, every damaged one refused by name. Exit 1 where one is not.

The mesh is data=hosts, fsdp=devices, and train.batch_shards their product, where
--config.train.… does not say otherwise; a step takes long enough to compile that a drill
is a minute or two.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from interaction import report
from interaction.errors import InputError, run_command
from interaction.settings import load
from interaction.train import manifest
from interaction.train.feed import fed
from launch import local

KINDS = ("kill", "kill", "kill in a save", "kill in a save", "kill at start", "terminate",
         "flip a byte", "remove a file")  # fmt: skip
PATIENCE_S = 1800.0  # without a step
SAVE_EVERY = 3


@dataclasses.dataclass
class Result:
    """One drill: what was done, where the run should have gone on, where it did."""

    kind: str
    at_step: int = 0  # the last step on record when it was disturbed
    newest_whole: int = 0  # where a restart has to go on; 0: at the beginning
    resumed: int | None = None  # None: killed before it said so
    lost_steps: int = 0  # done after that, to be done again
    fault: str = ""


class Failed(Exception):
    """What a drill found wrong."""


class Trainer:
    """A run's hosts as processes, and what is to be seen of them from outside."""

    def __init__(self, command: list[str], workdir: Path, hosts: int, devices: int) -> None:
        self._command = [*command, f"--workdir={workdir}"]
        self.workdir, self._hosts, self._devices = workdir, hosts, devices
        self._log = workdir.with_suffix(".log")
        self.processes: list[subprocess.Popen] = []
        self.start_s = 0.0  # until the first step is on record, when last let through

    def start(self) -> None:
        self._from = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("a") as log:
            self.processes = local.start(
                self._command, self._hosts, self._devices, log.fileno()
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


def damage(trainer: Trainer, kind: str, rng: random.Random) -> str:
    """Flip a byte of the newest checkpoint, or remove a file of it. -> the file's name."""
    directory = trainer.workdir / "checkpoints" / str(trainer.newest_whole())
    files = [p for p in sorted(directory.rglob("*")) if p.is_file() and p.stat().st_size]
    files = [p for p in files if not p.name.startswith("manifest-")]
    path = rng.choice(files)
    if kind == "remove a file":
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
    return str(path.relative_to(directory))


def drill(trainer: Trainer, kind: str, rng: random.Random) -> Result:
    """One start of the run and one disturbance of it."""
    result = Result(kind)
    damaged = ""
    if kind in ("flip a byte", "remove a file"):
        if sum(trainer.checkpoints().values()) < 2:
            result.kind = kind = "kill"  # nothing to go back to yet
        else:
            newest = trainer.newest_whole()
            damaged = damage(trainer, kind, rng)
    result.newest_whole = expected = trainer.newest_whole()
    trainer.start()
    try:
        if kind == "kill at start":
            time.sleep(rng.uniform(0, trainer.start_s))
            result.at_step = trainer.step()
            _kill(trainer, rng)
            return result
        _need(trainer.until(lambda: trainer.resumed() is not None))
        result.resumed = trainer.resumed() or 0
        if result.resumed != expected:
            raise Failed(f"went on at {result.resumed}, newest whole is {expected}")
        if damaged and f"checkpoint {newest} refused: {damaged}" not in trainer.said():
            raise Failed(f"{damaged} of checkpoint {newest} not refused by name")
        target = expected + rng.randint(1, SAVE_EVERY + 1)
        _reach(trainer, target, kind, rng)
        result.at_step = trainer.step()
        if kind == "terminate":
            _terminate(trainer, rng)
        else:
            _kill(trainer, rng)
        result.at_step = max(result.at_step, trainer.step())
        result.lost_steps = result.at_step - trainer.newest_whole()
        if result.lost_steps > 2 * SAVE_EVERY:  # one save may be under way
            raise Failed(f"{result.lost_steps} steps lost, a save is every {SAVE_EVERY}")
    except Failed as failed:
        result.fault = str(failed)
    finally:
        trainer.stop()
    return result


def _need(happened: bool) -> None:
    if not happened:
        raise Failed("the run came to its end first")


def _reach(trainer: Trainer, target: int, kind: str, rng: random.Random) -> None:
    _need(trainer.until(lambda: trainer.step() >= target))
    if kind == "kill in a save":
        _need(trainer.until(trainer.saving))
        time.sleep(rng.uniform(0, 0.2))
    else:
        time.sleep(rng.uniform(0, 0.5))


def _kill(trainer: Trainer, rng: random.Random) -> None:
    """One host, with all it has started; the others are left to find out."""
    host = rng.choice(trainer.processes)
    if host.poll() is None:
        os.killpg(host.pid, signal.SIGKILL)
    local.wait(trainer.processes, grace_s=2.0)


def _terminate(trainer: Trainer, rng: random.Random) -> None:
    """SIGTERM to one host: all have to save the same step and end well."""
    rng.choice(trainer.processes).terminate()
    code = local.wait(trainer.processes)
    if code:
        raise Failed(f"SIGTERM ended in status {code}: {trainer.said()[-400:]}")
    if trainer.newest_whole() != trainer.step():
        raise Failed(f"ended at step {trainer.step()}, saved only {trainer.newest_whole()}")


def let_through(trainer: Trainer) -> None:
    began = time.monotonic()
    trainer.start()
    try:
        trainer.until(lambda: trainer.step() > 0)
        trainer.start_s = time.monotonic() - began
        trainer.until(lambda: False)
    finally:
        trainer.stop()


def compare(calm: Trainer, trainer: Trainer, steps: int, batch: int) -> dict[str, Any]:
    """The disturbed run beside the undisturbed one."""
    want = (calm.workdir / "losses.jsonl").read_text().splitlines()
    got = (trainer.workdir / "losses.jsonl").read_text().splitlines()
    rows = {
        step: list(range((step - 1) * batch, step * batch)) for step in range(1, steps + 1)
    }
    return {
        "steps": steps,
        "losses_equal": want == got and len(got) == steps,
        "first_difference": next(
            (i + 1 for i, (a, b) in enumerate(zip(want, got, strict=False)) if a != b), None
        ),
        "rows_once_each": fed(trainer.workdir) == rows,
        "undisturbed_rows_once_each": fed(calm.workdir) == rows,
    }


def show(results: list[Result], end: dict[str, Any]) -> None:
    table = Table("", "disturbed by", "at step", "went on at", "newest whole", "lost", "",
                  box=None)  # fmt: skip
    for i, r in enumerate(results, 1):
        numbers = (r.at_step, r.resumed, r.newest_whole, r.lost_steps)
        shown = ("-" if n is None else str(n) for n in numbers)
        table.add_row(str(i), r.kind, *shown, r.fault or "passed")
    console = Console()
    console.print(table)
    for name, value in end.items():
        console.print(f"{name.replace('_', ' ')}: {value}")


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="python -m launch.drill",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", required=True, type=Path)
    parser.add_argument("--drills", type=int, default=20)
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--devices", type=int, default=4, help="of each host")
    parser.add_argument("--seed", type=int, default=0, help="of what is done when")
    parser.add_argument(
        "--workdir", type=Path, help="new directory, kept; default: none is"
    )
    parser.add_argument("--report", type=Path)
    return parser.parse_known_args()


def command(args: argparse.Namespace, overrides: list[str]) -> tuple[list[str], Any]:
    """-> the command without its --workdir, the config that it trains."""
    steps = 2 * SAVE_EVERY * (args.drills + 1)  # more than they can take
    whole = [
        f"--config.train.steps={steps}",
        f"--config.train.save_every={SAVE_EVERY}",
        "--config.train.log_every=1",  # so that every step is on record at once
        "--config.train.media_every=0",
        f"--config.train.mesh.data={args.hosts}",
        f"--config.train.mesh.fsdp={args.devices}",
        f"--config.train.batch={args.hosts * args.devices}",
        f"--config.train.batch_shards={args.hosts * args.devices}",
        *overrides,
    ]
    config = load(args.config, whole)
    run = [sys.executable, "-m", "interaction.train", "--distributed"]
    return [*run, f"--config={args.config}", *whole], config


def run(args: argparse.Namespace, overrides: list[str], scratch: Path) -> int:
    rng = random.Random(args.seed)
    line, config = command(args, overrides)
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(scratch / "programs"))
    calm = Trainer(line, scratch / "undisturbed", args.hosts, args.devices)
    trainer = Trainer(line, scratch / "disturbed", args.hosts, args.devices)
    let_through(calm)
    trainer.start_s = calm.start_s
    kinds = [KINDS[i % len(KINDS)] for i in range(args.drills)]
    rng.shuffle(kinds)
    results: list[Result] = []
    for kind in track(kinds, "drills"):
        results.append(drill(trainer, kind, rng))
        if results[-1].fault:
            break
    let_through(trainer)
    end = compare(calm, trainer, config.train.steps, config.train.batch)
    end["corrupt_checkpoints_taken"] = sum(
        r.resumed > r.newest_whole for r in results if r.resumed is not None
    )
    end["steps_lost_beyond_the_last_save"] = sum(
        max(r.newest_whole - r.resumed, 0) for r in results if r.resumed is not None
    )
    show(results, end)
    if args.report:
        head = report.header("launch.drill/1", config.to_dict())
        figures = {"drills": [dataclasses.asdict(r) for r in results]} | end
        report.write_report(args.report, head | figures)
    good = (
        end["losses_equal"] and end["rows_once_each"] and not any(r.fault for r in results)
    )
    return 0 if good else 1


def main() -> int:
    args, overrides = _arguments()
    if min(args.drills, args.hosts, args.devices) < 1:
        raise InputError("--drills, --hosts and --devices start at 1")
    if args.workdir and args.workdir.exists():
        raise InputError(f"--workdir={args.workdir} is there already; name a new one")
    scratch = args.workdir or Path(tempfile.mkdtemp(prefix="drill-"))
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        return run(args, overrides, scratch)
    finally:
        if not args.workdir:
            shutil.rmtree(scratch)


if __name__ == "__main__":
    run_command(main)
