"""GPU nodes under Slurm: a batch script with one process a GPU."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence

from interaction.errors import InputError
from launch import checks, clients
from launch.job import (
    Job,
    add_flags,
    check_distributed,
    checked_shell,
    job_of,
    note,
    workdir_of,
)
from launch.templates import fill

EXAMPLE = """  python -m launch submit --target=slurm --nodes=2 --time=24:00:00 \\
      --cpus_per_task=12 --name=mini --setup='source .venv/bin/activate' -- \\
      python -m interaction.train --config=configs/mini.py --workdir=runs/mini \\
      --distributed"""

LIMIT = r"\d+(:\d\d(:\d\d)?)?|\d+-\d+(:\d\d(:\d\d)?)?"


def flags(parser: argparse.ArgumentParser) -> None:
    add_flags(parser, "a file with the value, on a disk that the nodes share")
    add = parser.add_argument
    add("--nodes", type=int, default=1, metavar="N", help="how many nodes (default 1)")
    add(
        "--gpus_per_node",
        type=int,
        default=8,
        metavar="N",
        help="GPUs and processes of each (default 8); 0: one process on CPUs",
    )
    add(
        "--cpus_per_task",
        type=int,
        metavar="N",
        help="cores of a process: those of a node by its GPUs; Slurm gives one otherwise",
    )
    add(
        "--time",
        required=True,
        metavar="LIMIT",
        help="limit of one go, as 24:00:00 or 2-00:00:00; the job goes on after it",
    )
    add("--partition", help="the partition to wait in")
    add("--account", help="the account to charge")
    add("--setup", help="shell commands before the job, as 'source .venv/bin/activate'")
    add(
        "--grace_s",
        type=int,
        default=120,
        metavar="S",
        help="time to save before the limit (default 120)",
    )
    add(
        "--sbatch",
        action="append",
        default=[],
        metavar="OPTION",
        help="another option of sbatch, as --sbatch=--constraint=h100; may be repeated",
    )


def prepare(args: argparse.Namespace, command: Sequence[str]) -> Job:
    if args.nodes < 1 or args.gpus_per_node < 0:
        raise InputError("--nodes: use 1 or more, and 0 or more --gpus_per_node")
    if not re.fullmatch(LIMIT, args.time):
        raise InputError(f"--time={args.time}: write HOURS:MM:SS or DAYS-HOURS:MM:SS")
    if not 0 < args.grace_s <= 65535:
        raise InputError(f"--grace_s={args.grace_s}: use 1 to 65535")
    job = job_of(args, command, "gpu" if args.gpus_per_node else "cpu")
    checked_shell("--setup", args.setup or "")
    tasks = args.nodes * max(args.gpus_per_node, 1)
    check_distributed(command, tasks)
    if tasks > 1 and not args.cpus_per_task:
        note("no --cpus_per_task: Slurm's default may give each process one core only")
    workdir = workdir_of(command)
    if workdir and workdir.startswith(("/tmp", "/scratch/local", "/dev/shm")) and tasks > 1:
        raise InputError(f"--workdir={workdir}: is each node's own; use a shared disk")
    return job


def options(job: Job, args: argparse.Namespace) -> list[str]:
    out = [
        f"--job-name={job.name}",
        f"--nodes={args.nodes}",
        f"--ntasks-per-node={max(args.gpus_per_node, 1)}",
        f"--time={args.time}",
        # Told before the limit, and queued again after it, after a failure or a lost node.
        f"--signal=B:USR1@{args.grace_s}",
        "--requeue",
        "--open-mode=append",
        "--output=%x-%j.log",
    ]
    if args.gpus_per_node:
        out += [f"--gpus-per-node={args.gpus_per_node}", "--exclusive"]
    if args.cpus_per_task:
        out.append(f"--cpus-per-task={args.cpus_per_task}")
    for name in ("partition", "account"):
        if getattr(args, name):
            out.append(f"--{name}={getattr(args, name)}")
    out += args.sbatch
    for option in out:
        if not option.startswith("--") or re.search(r"[\s#]", option):
            raise InputError(
                f"--sbatch={option}: write it in one word, as --constraint=h100"
            )
    return out


def render(args: argparse.Namespace, command: Sequence[str]) -> str:
    job = prepare(args, command)
    srun = ["srun", "--kill-on-bad-exit"]
    if args.cpus_per_task:  # since 22.05 srun does not take it over from sbatch
        srun.append(f"--cpus-per-task={args.cpus_per_task}")
    checks.check_options("sbatch", "srun", srun)
    script = fill(
        "slurm.sh",
        options=options(job, args),
        env=job.env,
        secrets=job.secrets,
        setup=args.setup,
        max_restarts=job.max_restarts,
        srun=shlex.join(srun),
        command=shlex.join(job.command),
    )
    checks.check_sbatch(script)
    checks.check_bash(script)
    return script


def submit(args: argparse.Namespace, command: Sequence[str]) -> int:
    return clients.run(["sbatch"], render(args, command))
