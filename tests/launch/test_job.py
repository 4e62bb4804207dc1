"""What every target refuses, and what a job's processes are told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from launch.job import ENTRY, PLATFORM
from tests.launch.conftest import SAVES

FLAGS = ("--target=gke", "--topology=v6e:2x2", "--name=mini", "--image=IMAGE")
TARGETS = {
    "gke": FLAGS,
    "slurm": ("--target=slurm", "--time=1:00:00", "--name=mini"),
    "queued-resource": (
        "--target=queued-resource", "--topology=v6e:2x2", "--zone=z", "--name=mini",
        "--image=IMAGE",
    ),
    "local": ("--target=local", "--hosts=1"),
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "WANDB_API_KEY",
        "CLIENT_SECRET",
        "DB_PASSWORD",
        "hf_token",
        "AWS_SECRET_ID",
    ],
)
@pytest.mark.parametrize("target", TARGETS)
def test_secrets_are_not_rendered(refused, target, name):
    line = refused("render", *TARGETS[target], f"--env={name}=abcdef", "--", "true")
    assert f"--secret={name}=REFERENCE" in line and "abcdef" not in line


@pytest.mark.parametrize(
    "command",
    [
        ("env", "HF_TOKEN=abcdef", "python", "x.py"),
        ("python", "x.py", "--hf_token=abcdef"),
        ("python", "x.py", "--api-key", "abcdef"),
        ("bash", "-c", "export HF_TOKEN=abcdef; python x.py"),
    ],
)
def test_secrets_in_the_command_are_seen(refused, command):
    line = refused("render", *FLAGS, "--", *command)
    assert "looks like a secret" in line and "abcdef" not in line


def test_harmless_names_pass(launch):
    env = ("--env=TOKENIZERS_PARALLELISM=false", "--env=KEYBOARD=us")
    command = ("python", "x.py", "--max_tokens=5", "--sort_key=a", "bash -c 'A_KEY=$A_KEY'")
    said = launch("render", *FLAGS, *env, "--", *command)
    assert said.code == 0 and "TOKENIZERS_PARALLELISM" in said.out


@pytest.mark.parametrize(
    "words, says",
    [
        (("--env=XLA_FLAGS=--xla_tpu_x=1",), "LIBTPU_INIT_ARGS"),
        (("--env=LIBTPU_INIT_ARGS=--xla_gpu_x",), "TPU flags only"),
        (("--env=A",), "NAME=VALUE"),
        (("--env=A=1", "--env=A=2"), "twice"),
        (("--env=A=1", "--secret=A=b"), "keep one"),
        (("--secret=A",), "NAME=VALUE"),
    ],
)
def test_environment_is_checked(refused, words, says):
    assert says in refused("render", *FLAGS, *words, "--", "true")


@pytest.mark.parametrize("target", TARGETS)
def test_training_takes_no_buckets_address(refused, target):
    train = ("python", "-m", "interaction.train", "--workdir=gs://b/x", "--distributed")
    line = refused("render", *TARGETS[target], "--", *train)
    assert "gs://b/x: is no directory" in line and "/gcs/b/x" in line


def test_libtpu_flags_are_for_tpus(refused):
    flags = ("--target=slurm", "--time=1:00:00", "--name=mini")
    line = refused("render", *flags, "--env=LIBTPU_INIT_ARGS=--xla_tpu_x", "--", "true")
    assert "XLA_FLAGS" in line


def test_xla_takes_the_default_flags():
    """XLA aborts on a flag that it does not know; those for GPUs it reads on CPUs too."""
    run = [sys.executable, "-c", "import jax; print(len(jax.devices()))"]
    env = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": PLATFORM["gpu"]["XLA_FLAGS"]}
    done = subprocess.run(run, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.parametrize(
    "words, says",
    [
        ((), "usage: python -m launch"),
        (
            ("render", "--target=gke", "--topology=v6e:2x2", "--name=a", "--image=i"),
            "after --",
        ),
        (("print",), "render or submit"),
        (("render", "--", "true"), "--target"),
        (("render", "--target=moon", "--", "true"), "gke, queued-resource, slurm, local"),
        (("render", *FLAGS, "--partition=x", "--", "true"), "unrecognized"),
    ],
)
def test_the_command_line_teaches(launch, words, says):
    said = launch(*words)
    assert said.code == 2 and says in said.out + said.err


@pytest.mark.parametrize(
    "flags, program",
    [
        (FLAGS, "kubectl"),
        ((*FLAGS, "--via=xpk", "--cluster=c", "--project=p", "--zone=z"), "xpk"),
        ((*FLAGS, "--via=gcluster", "--cluster=c", "--project=p", "--zone=z"), "gcluster"),
        (("--target=queued-resource", "--topology=v6e:2x2", "--zone=z", "--name=a",
          "--image=i"), "gcloud"),
        (("--target=slurm", "--time=1:00:00", "--name=mini"), "sbatch"),
    ],
)  # fmt: skip
def test_submit_says_how_to_get_the_client(refused, monkeypatch, tmp_path, flags, program):
    (tmp_path / "bash").symlink_to("/bin/bash")
    monkeypatch.setenv("PATH", str(tmp_path))
    line = refused("submit", *flags, "--", "true")
    assert f"error: {program}: not found on this machine; to get it: " in line


def entry(*command: str) -> subprocess.Popen:
    return subprocess.Popen(
        ["sh", "-c", ENTRY, "entry", *command], stdout=subprocess.PIPE, text=True
    )


def test_entry_gives_the_commands_own_status():
    assert entry("sh", "-c", "exit 0").wait() == 0
    assert entry("sh", "-c", "exit 3").wait() == 3
    assert entry("sh", "-c", 'test "$1" = "a b"', "x", "a b").wait() == 0


def test_entry_stopped_is_not_done():
    """A run that saves and ends well on SIGTERM must be started again all the same."""
    with entry(sys.executable, "-c", SAVES) as child:
        assert child.stdout.readline() == "ready\n"
        began = time.monotonic()
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=20) == 143 and time.monotonic() - began > 0.4
        assert child.stdout.read() == "saved\n"
