"""The queued-resource script, really run by bash, with a gcloud that plays the cloud."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

from interaction.errors import InputError
from launch import checks

FLAGS = ("--target=queued-resource", "--topology=v5e:4x4", "--zone=z", "--name=mini")
MOUNT = "--mount=gs://ours:/gcs/ours"
RUN = (
    MOUNT, "--", "python", "-m", "interaction.train", "--workdir=/gcs/ours/x",
    "--distributed",
)  # fmt: skip

TELLS = 'echo "$*" >&2'

# Answers by state; a job's fate is the next of FATES: done, failed, or lost (preempted).
GCLOUD = f"""#!{sys.executable}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
world = json.loads((here / "world.json").read_text())
verb, words = sys.argv[4], sys.argv[1:]
world["said"].append(words)
status = 0
if verb == "describe":
    if world["network_fails"]:
        world["network_fails"] -= 1
        print("ERROR: connection reset", file=sys.stderr)
        status = 1
    elif world["state"] is None:
        print("ERROR: NOT_FOUND: Resource was not found.", file=sys.stderr)
        status = 1
    else:
        print(world["state"])
        if world["state"] == "WAITING_FOR_RESOURCES":
            world["state"] = "ACTIVE"
elif verb == "create":
    assert world["state"] is None, "ALREADY_EXISTS"
    world["state"] = "WAITING_FOR_RESOURCES"
elif verb == "delete":
    world["state"] = None
elif verb == "ssh":
    assert world["state"] == "ACTIVE"
    command = next(w for w in words if w.startswith("--command="))
    if command != "--command=true":
        fate = world["fates"].pop(0) if world["fates"] else "once too often"
        if fate == "lost":
            world["state"] = "SUSPENDED"
        status = fate != "done"
else:
    raise SystemExit("unknown " + verb)
(here / "world.json").write_text(json.dumps(world))
sys.exit(status)
"""


@pytest.fixture
def cloud(launch, tmp_path) -> Callable[..., tuple[int, list[str]]]:
    """Renders with more flags, runs the script; its status and the verbs it used."""

    def run(fates: list[str], *words: str, **world: object) -> tuple[int, list[str]]:
        said = launch("render", *FLAGS, "--image=IMAGE", *words, *RUN)
        assert said.code == 0, said.err
        program = tmp_path / "gcloud"
        program.write_text(GCLOUD)
        program.chmod(0o755)
        begin = {"state": None, "network_fails": 0, "fates": fates, "said": []} | world
        path = tmp_path / "world.json"
        path.write_text(json.dumps(begin))
        env = os.environ | {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "LAUNCH_POLL_S": "0",
        }
        done = subprocess.run(
            ["bash"], input=said.out, env=env, capture_output=True, text=True, timeout=60
        )
        after = json.loads(path.read_text())
        assert not after["fates"], done.stderr
        verbs = []
        for line in after["said"]:
            assert line[:3] == ["compute", "tpus", "queued-resources"], line
            checks.check_options("gcloud", " ".join(line[:4]), line)
            if line[3] != "describe" and "--command=true" not in line:
                verbs.append(line[3])
        return done.returncode, verbs

    return run


def test_asks_runs_and_gives_back(cloud):
    assert cloud(["done"]) == (0, ["create", "ssh", "delete"])


def test_lost_tpus_are_asked_for_again_and_not_counted(cloud):
    again = ["delete", "create", "ssh"]
    code, verbs = cloud(["lost", "lost", "done"], "--spot", "--max_restarts=0")
    assert (code, verbs) == (0, ["create", "ssh", *again, *again, "delete"])


def test_failures_are_counted_and_the_tpus_kept_to_look_at(cloud):
    code, verbs = cloud(["failed", "failed"], "--max_restarts=1")
    assert (code, verbs) == (1, ["create", "ssh", "ssh"])


def test_goes_on_with_tpus_that_are_there(cloud):
    assert cloud(["done"], "--keep", state="ACTIVE") == (0, ["ssh"])


def test_a_failing_network_makes_no_second_request(cloud):
    assert cloud(["done"], network_fails=2) == (0, ["create", "ssh", "delete"])


def test_buckets_reach_the_container(launch):
    said = launch("render", *FLAGS, "--image=IMAGE", "--mounted=/mnt/x", *RUN)
    job = said.out.partition("<<'JOB' || true\n")[2].partition("\nJOB\n")[0]
    mounts, docker = job.index("sudo gcsfuse"), job.index("docker run")
    assert mounts < docker and "--metadata-cache-ttl-secs=0" in job
    assert "--volume=/gcs/ours:/gcs/ours --volume=/mnt/x:/mnt/x IMAGE" in job
    assert "auth/cloud-platform" in said.out


@pytest.mark.skipif(shutil.which("sh") is None, reason="no POSIX shell")
def test_what_a_host_runs(launch, tmp_path):
    """The part behind --setup, run here as a TPU VM would."""
    show = "import os, sys; print(os.environ['A'], os.environ['HF_TOKEN'], sys.argv[1:])"
    command = (sys.executable, "-c", show, "it's", "two words")
    flags = ("--setup=B=1; cd /", "--env=A=x y", "--secret=HF_TOKEN=hub", MOUNT)
    said = launch("render", *FLAGS, *flags, "--", *command)
    job = said.out.partition("<<'JOB' || true\n")[2].partition("\nJOB\n")[0]
    program = tmp_path / "gcloud"
    program.write_text(
        '#!/bin/sh\necho "$*" | grep -q -- "access latest --secret=hub" && echo s\n'
    )
    program.chmod(0o755)
    for name, does in (("gcsfuse", "exit 1"), ("mountpoint", "exit 1"), ("sudo", TELLS)):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", job], env=env, capture_output=True, text=True)
    assert done.stdout == "x y s [\"it's\", 'two words']\n", done.stderr
    made, mounted = done.stderr.splitlines()
    assert made == "mkdir -p /gcs/ours" and mounted.startswith("gcsfuse --implicit-dirs")
    assert mounted.endswith(" ours /gcs/ours")


def test_a_shape_that_the_name_does_not_give(launch):
    flags = ("--target=queued-resource", "--zone=z", "--name=mini", "--image=IMAGE")
    usual = launch("render", *flags, "--topology=v5p:8x8x8", *RUN).out
    assert "--accelerator-type=v5p-1024" in usual and "gcloud alpha" not in usual
    other = launch("render", *flags, "--topology=v5p:4x8x16", *RUN).out
    assert "--type=v5p --topology=4x8x16" in other
    assert "gcloud alpha compute tpus queued-resources create" in other


@pytest.mark.parametrize(
    "words, says",
    [
        (("--topology=tpu7x:4x4x4",), "--target=gke"),
        (("--setup=pip install x",), "give one"),
        (("--spot", "--reserved"), "--spot"),
        (("--slices=0",), "1 or more"),
        (("--mount=claim:/mnt/x",), "--mounted=PATH"),
        (("--mount=gs://ours/runs:/gcs/ours",), "whole bucket"),
        (("--secret=HF_TOKEN=a:b",), "gcloud secrets create"),
    ],
)
def test_refusals(refused, words, says):
    assert says in refused("render", *FLAGS, "--image=IMAGE", *words, *RUN)


def test_setup_is_checked(refused):
    assert "bash -n" in refused("render", *FLAGS, "--setup=if true", *RUN)
    assert "secret" in refused("render", *FLAGS, "--setup=export HF_TOKEN=abc", *RUN)


def test_workdir_must_be_shared(launch, refused):
    local = (
        "--",
        "python",
        "-m",
        "interaction.train",
        "--workdir=/mnt/x/a",
        "--distributed",
    )
    assert "own disk" in refused("render", *FLAGS, "--image=IMAGE", *local)
    flags = (*FLAGS, "--image=IMAGE", "--mounted=/mnt/x")
    assert launch("render", *flags, *local).code == 0


@pytest.mark.parametrize("word", ["--accelerator", "--spot=true", "--node-id"])
def test_gcloud_options_are_the_documented_ones(word):
    with pytest.raises(InputError, match="gcloud"):
        checks.check_options("gcloud", "compute tpus queued-resources create", [word])
