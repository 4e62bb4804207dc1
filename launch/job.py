"""What every target knows of a job: its command, environment and secrets."""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from interaction.directory import directory
from interaction.errors import InputError

ENTRY = (Path(__file__).parent / "templates/entry.sh").read_text()
"""A POSIX shell script that runs "$@" and fails when it was told to stop: a training run
that got SIGTERM saves and ends well, and a platform would take it for finished."""

SECRET = re.compile(r"(TOKEN|KEYS?|SECRETS?|PASSWORDS?|PASSWD)$")
SECRET_FLAG = re.compile(r"(TOKEN|SECRETS?|PASSWORDS?|PASSWD|(API|ACCESS|PRIVATE)_?KEY)$")
ASSIGNED = re.compile(r"\b\w*(TOKEN|KEYS?|SECRETS?|PASSWORDS?|PASSWD)=[^\s$]")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

PLATFORM = {
    "tpu": {
        "JAX_PLATFORMS": "tpu,cpu",
        "TPU_STDERR_LOG_LEVEL": "0",
        "TPU_MIN_LOG_LEVEL": "0",
        "TF_CPP_MIN_LOG_LEVEL": "0",
    },
    # Without these two, kernels are chosen by timing and may sum by atomics: another
    # run, other bits.
    "gpu": {
        "JAX_PLATFORMS": "cuda,cpu",
        "XLA_FLAGS": "--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0",
    },
    "cpu": {"JAX_PLATFORMS": "cpu"},
}


@dataclasses.dataclass(frozen=True)
class Job:
    """secrets: variable -> where the target finds its value, never the value."""

    name: str
    command: tuple[str, ...]
    env: dict[str, str]
    secrets: dict[str, str]
    max_restarts: int


def add_flags(parser: argparse.ArgumentParser, secret: str) -> None:
    """The flags that clusters share. secret: what a reference is on this target."""
    parser.add_argument("--name", required=True, help="the job's name: a-z, 0-9 and -")
    add_env_flag(parser)
    parser.add_argument(
        "--secret", action="append", default=[], metavar="NAME=REFERENCE",
        help=f"a variable whose value stays where it is; REFERENCE: {secret}",
    )  # fmt: skip
    parser.add_argument(
        "--max_restarts", type=int, default=10, metavar="N",
        help="give up after N failures; lost nodes are not counted (default 10)",
    )  # fmt: skip


def add_env_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE",
        help="an environment variable of the job; may be repeated",
    )  # fmt: skip


def job_of(args: argparse.Namespace, command: Sequence[str], platform: str) -> Job:
    """The job, checked. Raises InputError for a name that platforms refuse, for a
    secret in plain sight, and for compiler flags where they would abort the program."""
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", args.name):
        raise InputError(f"--name={args.name}: use a-z, 0-9 and -, 40 characters at most")
    if args.max_restarts < 0:
        raise InputError(f"--max_restarts={args.max_restarts}: use 0 or more")
    checked_command(command)
    secrets = pairs("--secret", args.secret)
    env = environment(args.env, command, platform)
    if both := secrets.keys() & env.keys():
        raise InputError(f"--secret={min(both)}: is given by --env too; keep one")
    return Job(args.name, tuple(command), env, secrets, args.max_restarts)


def pairs(flag: str, given: Sequence[str]) -> dict[str, str]:
    out = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not NAME.fullmatch(name) or not value:
            raise InputError(f"{flag}={text}: write {flag}=NAME=VALUE")
        if name in out:
            raise InputError(f"{flag}={name}=…: given twice; keep one")
        out[name] = value
    return out


def environment(given: Sequence[str], command: Sequence[str], platform: str) -> dict:
    """PLATFORM's variables and the given ones, which come before them."""
    env = dict(PLATFORM[platform])
    if platform != "cpu" and (workdir := workdir_of(command)):
        env["JAX_COMPILATION_CACHE_DIR"] = workdir.rstrip("/") + "/compilation_cache"
    return env | checked_environment(given, platform)


def checked_environment(given: Sequence[str], platform: str) -> dict[str, str]:
    env = pairs("--env", given)
    for name in env:
        if any(SECRET.search(word) for word in name.upper().split("_")):
            raise InputError(
                f"--env={name}=…: looks like a secret, and many can read what is rendered; "
                f"leave the value where it is and refer to it: --secret={name}=REFERENCE"
            )
    if "xla_tpu" in env.get("XLA_FLAGS", ""):
        raise InputError(
            "--env=XLA_FLAGS: an --xla_tpu_ flag there aborts the program; put it into "
            "--env=LIBTPU_INIT_ARGS='--xla_tpu_…'"
        )
    if "LIBTPU_INIT_ARGS" in env and platform != "tpu":
        raise InputError("--env=LIBTPU_INIT_ARGS: only TPUs read it; use XLA_FLAGS here")
    if "xla_gpu" in env.get("LIBTPU_INIT_ARGS", ""):
        raise InputError("--env=LIBTPU_INIT_ARGS: takes TPU flags only; drop --xla_gpu_…")
    return env


def checked_command(command: Sequence[str]) -> None:
    if not command:
        raise InputError(
            "no command; write it after --, as: -- python -m interaction.train …"
        )
    if "interaction.train" in command and (workdir := workdir_of(command)):
        directory("--workdir", Path(workdir))
    for i, word in enumerate(command):
        checked_shell("the command", word)
        flag, equals, _ = word.partition("=")
        name = flag.lstrip("-").rsplit(".")[-1].replace("-", "_").upper()
        valued = equals or (word.startswith("-") and not _is_flag(command, i + 1))
        if valued and word.startswith("-") and SECRET_FLAG.search(name):
            raise InputError(
                f"{flag}: looks like a secret in the command, and many can read what is "
                "rendered; let the program read a variable, and give that by --secret"
            )


def checked_shell(where: str, text: str) -> None:
    """A value in plain sight is refused; NAME=$NAME, which refers to one, is not."""
    if match := ASSIGNED.search(text):
        raise InputError(
            f"{where}: {match.group().partition('=')[0]}=… looks like a secret, and many "
            "can read what is rendered; give it by --secret=NAME=REFERENCE"
        )


def _is_flag(command: Sequence[str], i: int) -> bool:
    return i >= len(command) or command[i].startswith("-")


def workdir_of(command: Sequence[str]) -> str | None:
    """The value of --workdir in a command, the last one as argparse has it."""
    found = None
    for i, word in enumerate(command):
        if word.startswith("--workdir="):
            found = word.partition("=")[2]
        elif word == "--workdir" and i + 1 < len(command):
            found = command[i + 1]
    return found


def check_workdir(command: Sequence[str], mounts: Sequence[str], mend: str) -> None:
    """Every host writes its part of a checkpoint: a disk of its own loses the others',
    and ends with the machine. mounts: directories that all hosts share."""
    workdir = workdir_of(command)
    if workdir is None or "://" in workdir:  # an address: of a program that takes it
        return
    if any(Path(mount) == Path(workdir) or Path(mount) in Path(workdir).parents
           for mount in mounts):  # fmt: skip
        return
    raise InputError(
        f"--workdir={workdir}: is on each machine's own disk, which ends with it; use a "
        f"shared directory ({mend})"
    )


def check_distributed(command: Sequence[str], processes: int) -> None:
    """Without --distributed every process would train alone, into one --workdir."""
    if processes > 1 and "interaction.train" in command and "--distributed" not in command:
        raise InputError(
            f"interaction.train: would start {processes} times over; add --distributed"
        )


def note(text: str) -> None:
    """Something to know, beside what is rendered."""
    print(f"note: {text}", file=sys.stderr)
