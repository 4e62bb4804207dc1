"""python -m launch render|submit --target=TARGET … -- COMMAND …"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from interaction.errors import InputError, run_command
from launch import gke, local, queued_resource, slurm
from launch.job import add_env_flag, checked_command, checked_environment, note

TARGETS = {
    "gke": "TPU slices on Google Kubernetes Engine: a JobSet",
    "queued-resource": "TPU VMs on Google Cloud, by queued resources",
    "slurm": "GPU nodes under Slurm",
    "local": "several processes on this machine, on CPUs",
}

LOCAL_EXAMPLE = """  python -m launch submit --target=local --hosts=2 --devices=4 -- \\
      python -m interaction.train --config=configs/nano.py --workdir=runs/two \\
      --distributed --config.train.batch_shards=8 --config.train.mesh.fsdp=8"""

EXAMPLES = "\n".join((gke.EXAMPLE, queued_resource.EXAMPLE, slurm.EXAMPLE, LOCAL_EXAMPLE))

USAGE = f"""usage: python -m launch render|submit --target=TARGET FLAGS -- COMMAND …

Run a command on a cluster. render prints what would be submitted, checked, and touches
nothing; submit runs it.

targets:
{chr(10).join(f"  {name:17}{text}" for name, text in TARGETS.items())}

  python -m launch render --target=TARGET --help    the flags of one target

examples:
{EXAMPLES}

launch/README.md tells how to watch and stop a job, and what a lost node costs."""

CLUSTERS = {"gke": gke, "queued-resource": queued_resource, "slurm": slurm}


def local_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--hosts", type=int, default=2, metavar="N", help="processes (default 2)")
    add("--devices", type=int, default=1, metavar="N", help="devices of each (default 1)")
    add_env_flag(parser)


def run_local(verb: str, args: argparse.Namespace, command: Sequence[str]) -> int:
    if args.hosts < 1 or args.devices < 1:
        raise InputError("--hosts and --devices: use 1 or more")
    checked_command(command)
    env = {"JAX_PLATFORMS": "cpu"} | checked_environment(args.env, "cpu")
    if args.hosts > 1 and "interaction.train" in command and "--distributed" not in command:
        note("without --distributed each of these processes would train alone")
    line = shlex.join(command)
    for host in range(args.hosts):
        own = env | local_environment(host, args)
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in own.items())
        print(f"{words} {line}", file=sys.stdout if verb == "render" else sys.stderr)
    if verb == "render":
        return 0
    sys.stderr.flush()
    os.environ.update(env)
    return local.run(command, args.hosts, args.devices)


def local_environment(host: int, args: argparse.Namespace) -> dict[str, str]:
    """What `local.run` gives a process; it finds a free port when it starts."""
    return {
        "JAX_COORDINATOR_ADDRESS": "localhost:PORT",
        "JAX_NUM_PROCESSES": str(args.hosts),
        "JAX_PROCESS_ID": str(host),
        "JAX_NUM_CPU_DEVICES": str(args.devices),
    }


def main() -> int:
    words = sys.argv[1:]
    if "--" in words:
        at = words.index("--")
        words, command = words[:at], words[at + 1 :]
    else:
        command = []
    if not words or (words[0] in ("-h", "--help")):
        print(USAGE)
        return 0 if words else 2
    verb = words.pop(0)
    if verb not in ("render", "submit"):
        raise InputError(f"{verb}: write render or submit first; --help has examples")
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--target")
    target = first.parse_known_args(words)[0].target
    if target is None and ("-h" in words or "--help" in words):
        print(USAGE)
        return 0
    if target not in TARGETS:
        raise InputError(f"--target={target}: use one of {', '.join(TARGETS)}")
    module = CLUSTERS.get(target)
    parser = argparse.ArgumentParser(
        prog=f"python -m launch {verb} --target={target}",
        description=TARGETS[target] + ".",
        usage=f"python -m launch {verb} --target={target} FLAGS -- COMMAND …",
        epilog=f"example:\n{module.EXAMPLE if module else LOCAL_EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--target", help=argparse.SUPPRESS)
    (module.flags if module else local_flags)(parser)
    args = parser.parse_args(words)
    if module is None:
        return run_local(verb, args, command)
    if verb == "submit":
        return module.submit(args, command)
    print(module.render(args, command), end="")
    return 0


if __name__ == "__main__":
    run_command(main)
