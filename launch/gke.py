"""TPU slices on Google Kubernetes Engine: a JobSet, or the same by xpk or gcluster."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence

from interaction.errors import InputError
from launch import checks, clients, tpus
from launch.buckets import is_bucket, mount_of
from launch.job import Job, add_flags, check_distributed, check_workdir, job_of, note
from launch.jobset import REPLICATED, manifest, written

EXAMPLE = """  python -m launch render --target=gke --topology=v5p:8x8x8 --name=tml \\
      --image=IMAGE --mount=gs://bucket:/gcs/bucket -- python -m interaction.train \\
      --config=configs/tml_interaction_small.py --workdir=/gcs/bucket/tml --distributed"""


def flags(parser: argparse.ArgumentParser) -> None:
    add_flags(
        parser, "a Kubernetes secret, SECRET or SECRET:KEY (the key is NAME otherwise)"
    )
    add = parser.add_argument
    add("--topology", required=True, metavar="TYPE:SHAPE", help="a slice, as v5p:8x8x8")
    add("--slices", type=int, default=1, metavar="N", help="how many of them (default 1)")
    add("--image", required=True, help="container image with the code and jax[tpu]")
    add(
        "--mount",
        action="append",
        default=[],
        metavar="SOURCE:PATH",
        help="shared storage: a persistent volume claim's name, or gs://BUCKET by GCS FUSE",
    )
    add("--spot", action="store_true", help="run on spot nodes")
    add("--reservation", help="run on nodes of this reservation")
    add("--queue", help="Kueue's local queue to go through")
    add("--service_account", help="Kubernetes service account of the pods")
    add(
        "--grace_s",
        type=int,
        default=120,
        metavar="S",
        help="time to save after SIGTERM (default 120; spot nodes give about 25)",
    )
    add(
        "--via",
        choices=("kubectl", "xpk", "gcluster"),
        default="kubectl",
        help="print or run this client's command (default kubectl: the manifest)",
    )
    add("--namespace", help="kubectl: the namespace")
    add("--context", help="kubectl: the cluster, a context of your kubeconfig")
    for name in ("cluster", "project", "zone"):
        add(f"--{name}", help=f"xpk, gcluster: the {name}")  # fmt: skip


def prepare(args: argparse.Namespace, command: Sequence[str]) -> tuple[Job, tpus.Slice]:
    job, part = job_of(args, command, "tpu"), tpus.parse(args.topology)
    hosts = part.hosts(gke=True) * args.slices
    if args.slices < 1:
        raise InputError(f"--slices={args.slices}: use 1 or more")
    if args.slices > 1 and part.hosts(gke=True) == 1:
        raise InputError(
            f"--slices={args.slices}: GKE joins slices of several hosts only, and "
            f"{args.topology} is one host; use a larger shape or --slices=1"
        )
    if not 0 < args.grace_s <= 3600:
        raise InputError(f"--grace_s={args.grace_s}: use 1 to 3600")
    pod = f"{job.name}-{REPLICATED}-{args.slices - 1}-{part.hosts(gke=True) - 1}-xxxxx"
    if len(pod) > 63:
        raise InputError(
            f"--name={job.name}: pods would be named {pod}, over 63 characters"
        )
    paths = [path for _, path in map(mount_of, args.mount)]
    check_workdir(command, paths, "--mount=CLAIM:PATH or gs://BUCKET:PATH")
    check_distributed(command, hosts)
    return job, part


def xpk(job: Job, part: tpus.Slice, args: argparse.Namespace) -> list[str]:
    words = [
        "xpk", "workload", "create",
        *(f"--{n}={getattr(args, n) or n.upper()}" for n in ("cluster", "project", "zone")),
        f"--workload={job.name}",
        f"--tpu-type={part.type.prefix}-{part.topology}",
        f"--num-slices={args.slices}",
        f"--docker-image={args.image}",
        f"--max-restarts={job.max_restarts}",
        f"--termination-grace-period-seconds={args.grace_s}",
        *(f"--env={n}={v}" for n, v in job.env.items()),
        f"--command={shlex.join(job.command)}",
    ]  # fmt: skip
    checks.check_options("xpk", "workload create", words)
    return words


def gcluster(job: Job, part: tpus.Slice, args: argparse.Namespace) -> list[str]:
    words = [
        "gcluster", "job", "submit",
        f"--cluster={args.cluster or 'CLUSTER'}",
        f"--project={args.project or 'PROJECT'}",
        f"--location={args.zone or 'ZONE'}",
        f"--name={job.name}",
        f"--compute-type={part.gke_machine}",
        f"--topology={part.topology}",
        f"--num-slices={args.slices}",
        f"--image={args.image}",
        f"--restarts={job.max_restarts}",
        f"--grace-period={args.grace_s}s",
        *(f"--env={n}={v}" for n, v in job.env.items()),
        *([f"--queue={args.queue}"] if args.queue else []),
        *([f"--service-account={args.service_account}"] if args.service_account else []),
        *(f"--mount={source}:{path}:rw" for source, path in map(mount_of, args.mount)),
        f"--command={shlex.join(job.command)}",
    ]  # fmt: skip
    checks.check_options("gcluster", "job submit", words)
    return words


LEFT_OUT = {
    "xpk": ("secret", "spot", "reservation", "queue", "service_account"),
    "gcluster": ("secret", "spot", "reservation"),
}
"""What only the manifest can say: their flags for it act on clusters, or vary."""


def left_out(client: str, args: argparse.Namespace) -> list[str]:
    return [f"--{name}" for name in LEFT_OUT[client] if getattr(args, name)]


def unmounted(client: str, args: argparse.Namespace) -> str:
    """Why the client cannot mount what the manifest does; empty where it can."""
    sources = [source for source, _ in map(mount_of, args.mount)]
    if client == "xpk" and sources:
        return (
            "its --storage names what `xpk storage attach` gave the cluster before, at a "
            "path of its own"
        )
    if any(map(is_bucket, sources)):
        return (
            "it takes no options for a bucket, and by Cloud Storage FUSE's own a host may "
            "never see what another wrote"
        )
    return ""


def client_command(
    client: str, args: argparse.Namespace, command: Sequence[str]
) -> list[str]:
    """The command line of xpk or gcluster, complete. Raises InputError where it would
    not do the same as the manifest."""
    job, part = prepare(args, command)
    if missing := [n for n in ("cluster", "project", "zone") if not getattr(args, n)]:
        raise InputError(f"--via={client}: needs --{missing[0]} too")
    if dropped := left_out(client, args):
        raise InputError(f"--via={client}: cannot pass {dropped[0]} on; use --via=kubectl")
    if why := unmounted(client, args):
        raise InputError(
            f"--via={client}: cannot pass --mount on, {why}; use --via=kubectl"
        )
    if client == "gcluster" and len(job.name) > 28:
        raise InputError(f"--name={job.name}: gcluster takes 28 characters at most")
    return (xpk if client == "xpk" else gcluster)(job, part, args)


def render(args: argparse.Namespace, command: Sequence[str]) -> str:
    if args.via != "kubectl":
        return clients.wrapped(client_command(args.via, args, command)) + "\n"
    job, part = prepare(args, command)
    jobset = manifest(job, part, args)
    checks.check_jobset(jobset)
    hosts = part.hosts(gke=True)
    head = (
        f"# {args.slices} slice(s) of {args.topology}: {args.slices * part.chips} chips on "
        f"{args.slices * hosts} nodes of {part.gke_machine}\n"
    )
    return head + written(jobset) + "".join(_comment(c, job, part, args) for c in LEFT_OUT)


def _comment(client: str, job: Job, part: tpus.Slice, args: argparse.Namespace) -> str:
    if why := unmounted(client, args):  # the run would be lost with the container
        return f"# Not by {client}, which cannot pass --mount on: {why}.\n"
    words = (xpk if client == "xpk" else gcluster)(job, part, args)
    dropped = left_out(client, args)
    but = f", but for {', '.join(dropped)}" if dropped else ""
    lines = clients.wrapped(words).replace("\n", "\n# ")
    return f"# The same by {client} (lost nodes count as restarts there){but}:\n# {lines}\n"


def submit(args: argparse.Namespace, command: Sequence[str]) -> int:
    text = render(args, command)
    if args.via != "kubectl":
        return clients.run(client_command(args.via, args, command))
    where = [f"--context={args.context}"] if args.context else []
    if not args.context:
        note(
            "the cluster is that of `kubectl config current-context`; --context changes it"
        )
    return clients.run(["kubectl", *where, "create", "--filename=-"], text)
