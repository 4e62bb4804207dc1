"""The batch script: its options, and its way through limits and failures, run by bash."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from interaction.errors import InputError
from launch import checks
from tests.launch.conftest import SAVES

FLAGS = ("--target=slurm", "--time=1:00:00", "--name=mini")


@pytest.fixture
def node(launch, tmp_path) -> Callable[..., subprocess.Popen]:
    """Starts a rendered script where srun runs its command once, scancel signals it, and
    scontrol says what it was told."""
    programs = {
        "srun": f'while [ "${{1#-}}" != "$1" ]; do shift; done\n'
        f'echo $$ > {tmp_path}/step; exec "$@"',
        "scancel": f'[ "$*" = "--signal=TERM 5" ] && kill -TERM "$(cat {tmp_path}/step)"',
        "scontrol": 'echo "scontrol $*"',
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)

    def start(*words: str, **variables: str) -> subprocess.Popen:
        said = launch("render", *FLAGS, *words)
        assert said.code == 0, said.err
        path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "5"}
        return subprocess.Popen(
            ["bash", "-c", said.out], env=os.environ | path | variables,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    return start


def ended(child: subprocess.Popen) -> tuple[int, str]:
    out, _ = child.communicate(timeout=30)
    return child.returncode, out


def test_done_is_done(node):
    show = ("--env=A=x y", "--", sys.executable, "-c", "import os; print(os.environ['A'])")
    assert ended(node(*show)) == (0, "x y\n")


def test_a_failure_is_queued_again_until_there_were_enough(node):
    fails = ("--max_restarts=2", "--", "sh", "-c", "exit 7")
    assert ended(node(*fails)) == (0, "scontrol requeue 5\n")
    assert ended(node(*fails, SLURM_RESTART_COUNT="1")) == (0, "scontrol requeue 5\n")
    assert ended(node(*fails, SLURM_RESTART_COUNT="2")) == (7, "")


@pytest.mark.parametrize(
    "number, code, out",
    [
        (signal.SIGUSR1, 0, "saved\nscontrol requeue 5\n"),
        (signal.SIGTERM, 143, "saved\n"),
    ],
)
def test_told_to_stop_it_saves_first(node, number, code, out):
    child = node("--max_restarts=0", "--", sys.executable, "-c", SAVES)
    assert child.stdout.readline() == "ready\n"
    child.send_signal(number)
    assert ended(child) == (code, out)


def test_a_secret_is_read_where_it_lies(node, tmp_path):
    (tmp_path / "token").write_text("abc\n")
    show = (sys.executable, "-c", "import os; print(os.environ['HF_TOKEN'])")
    assert ended(node(f"--secret=HF_TOKEN={tmp_path}/token", "--", *show)) == (0, "abc\n")
    code, out = ended(node(f"--secret=HF_TOKEN={tmp_path}/none", "--", *show))
    assert (code, out) == (1, "")


def test_one_process_a_gpu(launch):
    said = launch("render", *FLAGS, "--nodes=2", "--gpus_per_node=4", "--", "true")
    options = re.findall(r"^#SBATCH (.*)$", said.out, re.MULTILINE)
    assert {"--nodes=2", "--ntasks-per-node=4", "--gpus-per-node=4"} <= set(options)
    assert "--cpus_per_task" in said.err
    cpus = launch("render", *FLAGS, "--gpus_per_node=0", "--", "true").out
    assert "gpus" not in cpus and "JAX_PLATFORMS=cpu\n" in cpus


@pytest.mark.parametrize(
    "words, says",
    [
        (("--sbatch=--ntasks-per-nodes=2",), "not among its options"),
        (("--sbatch=--requeue=yes",), "takes no value"),
        (("--sbatch=--qos",), "takes a value"),
        (("--sbatch=-c4",), "in one word"),
        (("--sbatch=--comment=a b",), "in one word"),
        (("--time=soon",), "HOURS"),
        (("--nodes=0",), "--nodes"),
        (("--setup=if true",), "bash -n"),
        (("--setup=HF_TOKEN=abc",), "secret"),
        (("--grace_s=0",), "--grace_s"),
    ],
)
def test_refusals(refused, words, says):
    assert says in refused("render", *FLAGS, *words, "--", "true")


def test_train_on_several_processes(refused):
    train = ("--", "python", "-m", "interaction.train", "--workdir=/tmp/x", "--distributed")
    assert "each node's own" in refused("render", *FLAGS, *train)
    assert "--distributed" in refused("render", *FLAGS, *train[:-1])


def test_options_after_a_command_are_not_read():
    checks.check_sbatch("#!/bin/sh\n#SBATCH --nodes=2\ntrue\n")
    with pytest.raises(InputError, match="after a command"):
        checks.check_sbatch("#!/bin/sh\ntrue\n#SBATCH --nodes=2\n")


def test_submit_gives_the_script_to_sbatch(launch, monkeypatch, tmp_path):
    program = tmp_path / "sbatch"
    program.write_text(f"#!/bin/sh\ncat > {tmp_path}/got; echo Submitted batch job 5\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    words = (*FLAGS, "--cpus_per_task=2", "--", "true")
    said = launch("submit", *words)
    assert (said.code, said.out) == (0, "Submitted batch job 5\n")
    rendered = launch("render", *words).out
    assert (tmp_path / "got").read_text() == rendered
    assert said.err == f"{rendered}+ sbatch\n"
