"""TPU VMs by queued resources: a script that asks for them, waits, runs and asks again."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from interaction.errors import InputError
from launch import checks, clients, tpus
from launch.buckets import INSTALL, is_bucket, mount_of, vm_command
from launch.job import (
    ENTRY,
    Job,
    add_flags,
    check_distributed,
    check_workdir,
    checked_shell,
    job_of,
    note,
)
from launch.templates import fill

EXAMPLE = """  python -m launch render --target=queued-resource --topology=v5e:4x4 --spot \\
      --zone=us-west4-a --name=mini --image=IMAGE --mount=gs://bucket:/gcs/bucket -- \\
      python -m interaction.train --config=configs/mini.py \\
      --workdir=/gcs/bucket/mini --distributed"""

GROUP = "compute tpus queued-resources"


def flags(parser: argparse.ArgumentParser) -> None:
    add_flags(parser, "a Secret Manager secret, which the VMs' service account may read")
    add = parser.add_argument
    add("--topology", required=True, metavar="TYPE:SHAPE", help="a slice, as v5p:4x4x4")
    add("--slices", type=int, default=1, metavar="N", help="how many of them (default 1)")
    add("--zone", required=True, help="zone of the TPUs, as us-east5-a")
    add("--project", help="project (gcloud's own otherwise)")
    add(
        "--runtime_version",
        help="software of the VMs (default: by type; "
        "gcloud compute tpus tpu-vm versions list --zone=ZONE names all)",
    )
    add("--image", help="container image with the code and jax[tpu], run by docker")
    add("--setup", help="without --image: shell commands that bring code and packages")
    add(
        "--mount",
        action="append",
        default=[],
        metavar="gs://BUCKET:PATH",
        help="a bucket that every VM mounts there, by Cloud Storage FUSE",
    )
    add(
        "--mounted",
        action="append",
        default=[],
        metavar="PATH",
        help="a directory that --setup or the VMs mount from shared storage",
    )
    add("--spot", action="store_true", help="preemptible capacity; asked for again if lost")
    add("--reserved", action="store_true", help="capacity of a reservation")
    add("--service_account", help="e-mail of the VMs' service account")
    add("--keep", action="store_true", help="do not delete the TPUs when the job is done")


def prepare(args: argparse.Namespace, command: Sequence[str]) -> tuple[Job, tpus.Slice]:
    job, part = job_of(args, command, "tpu"), tpus.parse(args.topology)
    if part.type.runtime is None:
        raise InputError(
            f"--topology={args.topology}: {part.type.name} has no TPU VMs; use --target=gke"
        )
    if args.slices < 1:
        raise InputError(f"--slices={args.slices}: use 1 or more")
    if args.spot and args.reserved:
        raise InputError("--spot: excludes --reserved; keep one")
    if bool(args.image) == bool(args.setup):
        raise InputError("--image or --setup: give one, so that the VMs have the code")
    checked_shell("--setup", args.setup or "")
    for name, reference in job.secrets.items():
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", reference):
            raise InputError(
                f"--secret={name}=…: not a Secret Manager id; make one by gcloud secrets "
                "create ID --data-file=- and give its ID"
            )
    paths = [path for _, path in buckets_of(args)]
    check_workdir(command, [*paths, *args.mounted], "--mount=gs://BUCKET:PATH")
    check_distributed(command, part.hosts(gke=False) * args.slices)
    return job, part


def buckets_of(args: argparse.Namespace) -> list[tuple[str, str]]:
    mounts = [mount_of(text) for text in args.mount]
    for source, path in mounts:
        if not is_bucket(source):
            raise InputError(
                f"--mount={source}:{path}: TPU VMs mount buckets, gs://BUCKET:PATH; mount "
                "other storage in --setup and name it by --mounted=PATH"
            )
    return mounts


def gcloud(verb: str, args: argparse.Namespace, *words: str, alpha: bool = False) -> str:
    """A checked `gcloud compute tpus queued-resources VERB`, ready for a shell."""
    command = f"{'alpha ' if alpha else ''}{GROUP} {verb}"
    where = [f"--zone={args.zone}"]
    if args.project:
        where.append(f"--project={args.project}")
    line = ["gcloud", *command.split(), args.name, *where, *words]
    checks.check_options("gcloud", command, line)
    return shlex.join(line)


def create(job: Job, part: tpus.Slice, args: argparse.Namespace) -> str:
    words = [f"--runtime-version={args.runtime_version or part.type.runtime}"]
    if part.usual:
        words.append(f"--accelerator-type={part.accelerator_type}")
    else:  # only alpha takes a shape for these types
        words += [f"--type={part.type.prefix}", f"--topology={part.topology}"]
    if args.slices == 1:
        words.append(f"--node-id={job.name}")
    else:
        words += [f"--node-count={args.slices}", f"--node-prefix={job.name}"]
    words += [f"--{flag}" for flag in ("spot", "reserved") if getattr(args, flag)]
    if args.service_account:
        words.append(f"--service-account={args.service_account}")
    if job.secrets or args.mount:
        words.append("--scopes=https://www.googleapis.com/auth/cloud-platform")
    return gcloud("create", args, *words, alpha=not part.usual)


def on_each_host(job: Job, args: argparse.Namespace) -> str:
    """The shell commands that every VM runs."""
    lines = ["set -e"]
    for name, secret in job.secrets.items():
        reading = f"gcloud secrets versions access latest --secret={secret}"
        lines += [f'{name}="$({reading})"', f"export {name}"]
    buckets = buckets_of(args)
    if buckets:
        lines.append(INSTALL)
    lines += [vm_command(source, path) for source, path in buckets]
    paths = [*(path for _, path in buckets), *args.mounted]
    run = ["sh", "-c", ENTRY, "entry", *job.command]
    if args.image:
        given = [f"--env={n}={v}" for n, v in job.env.items()]
        given += [f"--env={n}" for n in job.secrets]  # its value from the environment
        docker = [
            "sudo", *([f"--preserve-env={','.join(job.secrets)}"] if job.secrets else []),
            "docker", "run", "--rm", "--privileged", "--network=host", "--shm-size=16g",
            f"--name={job.name}", *given,
            *(f"--volume={path}:{path}" for path in paths),
            args.image,
        ]  # fmt: skip
        registry = args.image.partition("/")[0]
        if registry.endswith(("docker.pkg.dev", "gcr.io")):  # root's docker asks gcloud
            lines.append(f"sudo gcloud auth configure-docker {registry} --quiet")
        lines.append(f"sudo docker rm --force {job.name} >/dev/null 2>&1 || true")
        lines.append(shlex.join([*docker, *run]))
    else:
        lines += [f"export {n}={shlex.quote(v)}" for n, v in job.env.items()]
        lines += [args.setup, shlex.join(run)]
    return "\n".join(lines)


def render(args: argparse.Namespace, command: Sequence[str]) -> str:
    job, part = prepare(args, command)
    # Every host at once: in groups, the first would wait for the others for ever.
    all_hosts = ("--node=all", "--worker=all", "--batch-size=all")
    remote = on_each_host(job, args)
    checks.check_bash(remote)
    script = fill(
        "queued_resource.sh",
        name=job.name,
        shape=f"{args.slices} slice(s) of {args.topology}",
        hosts=args.slices * part.hosts(gke=False),
        runtime=args.runtime_version or part.type.runtime,
        max_restarts=job.max_restarts,
        remote=remote,
        create=create(job, part, args),
        describe=gcloud("describe", args, "--format=value(state.state)"),
        delete=gcloud("delete", args, "--force", "--quiet"),
        ssh=gcloud("ssh", args, *all_hosts),
        keep=args.keep,
    )
    checks.check_bash(script)
    return script


def submit(args: argparse.Namespace, command: Sequence[str]) -> int:
    """Runs the script here; it stays until the job is done, to ask again for lost TPUs."""
    script = render(args, command)
    clients.find("gcloud")
    print(script, file=sys.stderr)
    note("this stays in the foreground until the job is done: start it in tmux")
    with tempfile.NamedTemporaryFile("w", suffix=".sh", delete=False) as file:
        file.write(script)
    try:
        return subprocess.run(["bash", file.name]).returncode
    finally:
        os.unlink(file.name)
