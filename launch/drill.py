"""Fire drills: a training run on several hosts of this machine, disturbed over and over.

    python -m launch.drill --config=tests/tiny.py --drills=20
    python -m launch.drill --config=configs/nano.py --drills=5 --hosts=4 --devices=2 \\
        --config.data.positions=128 --seed=7 --report=drill.json
    python -m launch.drill --config=tests/tiny.py --drills=4 --then=1x8,4x2

Each drill starts the run where the last one left it, disturbs it and looks at what is
left: a host is killed (kill -9) at a random step, in the middle of a save, or while it
starts; SIGTERM reaches one host; a byte of the newest checkpoint is flipped, or a file of
it removed. At the end the run is let through. Passed are: the losses of an undisturbed
run to the last bit, every row of the data once, every restart at the newest checkpoint
that is whole, every damaged one refused by name. Exit 1 where one is not.

--then=1x8,4x2 moves the run to other hosts: after the drills one host is killed once more,
at a random step behind a save, and copies of what is left go on to the end, one on 1 host
of 8 devices, one on 4 of 2. The same is asked of each of them, and of the run itself.

The mesh is data=hosts, fsdp=devices. train.batch, and train.batch_shards, which fixes how
gradients are summed, are the least number that the devices of every form divide.
--config.train.… says otherwise. A step takes long enough to compile that a drill is a
minute or two, and so is each form.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from interaction import report
from interaction.errors import InputError, run_command
from interaction.settings import load
from interaction.train.feed import fed
from launch import local
from launch.trainer import Failed, Trainer, let_through

MOVE = "kill before a move"
KINDS = ("kill", "kill", "kill in a save", "kill in a save", "kill at start", "terminate",
         "flip a byte", "remove a file")  # fmt: skip
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
            killed = _kill(trainer, rng)
            _need(killed or kind != MOVE)  # or others would have nothing left to do
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
    elif kind == MOVE:  # with something that others can go on from
        before = trainer.newest_whole()
        _need(trainer.until(lambda: trainer.newest_whole() > before))
    else:
        time.sleep(rng.uniform(0, 0.5))


def _kill(trainer: Trainer, rng: random.Random) -> bool:
    """One host, with all it has started; the others are left to find out. -> whether it
    was still there."""
    host = rng.choice(trainer.processes)
    if host.poll() is None:
        os.killpg(host.pid, signal.SIGKILL)
    local.wait(trainer.processes, grace_s=2.0)
    return host.returncode == -signal.SIGKILL


def _terminate(trainer: Trainer, rng: random.Random) -> None:
    """SIGTERM to one host: all have to save the same step and end well."""
    rng.choice(trainer.processes).terminate()
    code = local.wait(trainer.processes)
    if code:
        raise Failed(f"SIGTERM ended in status {code}: {trainer.said()[-400:]}")
    if trainer.newest_whole() != trainer.step():
        raise Failed(f"ended at step {trainer.step()}, saved only {trainer.newest_whole()}")


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


def _end(trainer: Trainer) -> str:
    """Let it through. -> what went wrong, if anything."""
    try:
        let_through(trainer)
    except Failed as failed:
        return str(failed)
    return ""


def move(killed: Trainer, calm: Trainer, copy: Trainer, **ran: int) -> dict[str, Any]:
    """A copy of a killed run, on other hosts to the end. ran: for `compare`."""
    shutil.copytree(killed.workdir, copy.workdir)
    want = copy.newest_whole()
    fault = _end(copy)
    if not fault and copy.resumed() != want:
        fault = f"went on at {copy.resumed()}, newest whole is {want}"
    found = {"hosts": copy.hosts, "devices": copy.devices, "went_on_at": copy.resumed()}
    return found | compare(calm, copy, **ran) | {"fault": fault}


def status(results: list[Result], moves: list[dict], end: dict[str, Any]) -> int:
    """0 where everything passed, else 1."""
    faults = any(r.fault for r in results)
    return 0 if not faults and all(map(_passed, [*moves, end])) else 1


def _passed(end: dict[str, Any]) -> bool:
    return end["losses_equal"] and end["rows_once_each"] and not end["fault"]


def show(results: list[Result], moves: list[dict[str, Any]], end: dict[str, Any]) -> None:
    table = Table("", "disturbed by", "at step", "went on at", "newest whole", "lost", "",
                  box=None)  # fmt: skip
    for i, r in enumerate(results, 1):
        numbers = (r.at_step, r.resumed, r.newest_whole, r.lost_steps)
        shown = ("-" if n is None else str(n) for n in numbers)
        table.add_row(str(i), r.kind, *shown, r.fault or "passed")
    console = Console()
    console.print(table)
    for m in moves:
        console.print(
            f"on {m['hosts']} x {m['devices']} from step {m['went_on_at']}: "
            + ("passed" if _passed(m) else m["fault"] or "not as the undisturbed run")
        )
    for name, value in end.items():
        if name != "fault" or value:
            console.print(f"{name.replace('_', ' ')}: {value}")


def forms(text: str) -> list[tuple[int, int]]:
    """`1x8,4x2` -> hosts, and devices of each; each form once. Raises InputError."""
    try:
        found = [(int(h), int(d)) for h, d in (form.split("x") for form in text.split(","))]
    except ValueError:
        found = []
    if not found or min(map(min, found)) < 1:
        raise InputError(f"--then={text}; write HOSTSxDEVICES,… as 1x8,4x2, all from 1 on")
    return list(dict.fromkeys(found))


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
    parser.add_argument(
        "--then", metavar="HOSTSxDEVICES,…",
        help="forms in which copies of the run go on after the drills and one more kill",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of what is done when")
    parser.add_argument(
        "--workdir", type=Path, help="new directory, kept; default: none is"
    )
    parser.add_argument("--report", type=Path)
    args, overrides = parser.parse_known_args()
    args.then = forms(args.then) if args.then is not None else []
    return args, overrides


def command(
    args: argparse.Namespace, overrides: list[str], hosts: int, devices: int
) -> tuple[list[str], Any]:
    """A form's command without its --workdir, and the config that it trains."""
    drills = args.drills + bool(args.then)
    steps = 2 * SAVE_EVERY * (drills + 1)  # more than they can take
    # One number for all forms: gradients are the same bits where the sum's tree is.
    rows = math.lcm(*(h * d for h, d in [(args.hosts, args.devices), *args.then]))
    whole = [
        f"--config.train.steps={steps}",
        f"--config.train.save_every={SAVE_EVERY}",
        "--config.train.log_every=1",  # so that every step is on record at once
        "--config.train.media_every=0",
        f"--config.train.mesh.data={hosts}",
        f"--config.train.mesh.fsdp={devices}",
        f"--config.train.batch={rows}",
        f"--config.train.batch_shards={rows}",
        *overrides,
    ]
    config = load(args.config, whole)
    run = [sys.executable, "-m", "interaction.train", "--distributed"]
    return [*run, f"--config={args.config}", *whole], config


def run(args: argparse.Namespace, overrides: list[str], scratch: Path) -> int:
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(scratch / "programs"))

    def trainer_of(name: str, hosts: int, devices: int) -> Trainer:
        line, _ = command(args, overrides, hosts, devices)
        return Trainer(line, scratch / name, hosts, devices)

    _, config = command(args, overrides, args.hosts, args.devices)
    calm = trainer_of("undisturbed", args.hosts, args.devices)
    trainer = trainer_of("disturbed", args.hosts, args.devices)
    let_through(calm)
    trainer.start_s = calm.start_s
    results = disturb(trainer, args)
    ran = {"steps": config.train.steps, "batch": config.train.batch}
    moves: list[dict[str, Any]] = []
    if not any(r.fault for r in results):
        others = [trainer_of(f"on-{h}x{d}", h, d) for h, d in args.then]
        moves = [move(trainer, calm, other, **ran) for other in track(others, "moves")]
    fault = _end(trainer)
    end = compare(calm, trainer, **ran) | {"fault": fault}
    end["corrupt_checkpoints_taken"] = sum(
        r.resumed > r.newest_whole for r in results if r.resumed is not None
    )
    end["steps_lost_beyond_the_last_save"] = sum(
        max(r.newest_whole - r.resumed, 0) for r in results if r.resumed is not None
    )
    show(results, moves, end)
    if args.report:
        head = report.header("launch.drill/2", config.to_dict())
        figures = {"drills": [dataclasses.asdict(r) for r in results], "moves": moves}
        report.write_report(args.report, head | figures | end)
    return status(results, moves, end)


def disturb(trainer: Trainer, args: argparse.Namespace) -> list[Result]:
    """The drills, in an order that the seed gives; one that fails is the last."""
    rng = random.Random(args.seed)
    kinds = [KINDS[i % len(KINDS)] for i in range(args.drills)]
    rng.shuffle(kinds)
    if args.then:
        kinds.append(MOVE)
    results: list[Result] = []
    for kind in track(kinds, "drills"):
        results.append(drill(trainer, kind, rng))
        if results[-1].fault:
            break
    return results


def main() -> int:
    args, overrides = _arguments()
    if min(args.hosts, args.devices, args.drills + bool(args.then)) < 1:
        raise InputError(
            "--hosts and --devices start at 1, and --drills too where there is no --then"
        )
    if args.then and any(o.startswith("--config.train.mesh.") for o in overrides):
        raise InputError("--then makes the mesh of every form; drop --config.train.mesh.…")
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
