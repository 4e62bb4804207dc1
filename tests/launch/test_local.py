"""Hosts on this machine: real processes, by the command."""

from __future__ import annotations

import sys
import time

SHOW = (
    "import os, jax; jax.distributed.initialize(os.environ['JAX_COORDINATOR_ADDRESS'],"
    "int(os.environ['JAX_NUM_PROCESSES']), int(os.environ['JAX_PROCESS_ID']));"
    "print(jax.process_index(), jax.local_device_count(), jax.device_count())"
)


def test_processes_find_each_other(launch):
    flags = ("--target=local", "--hosts=2", "--devices=3", "--env=JAX_PLATFORMS=cpu")
    said = launch("submit", *flags, "--", sys.executable, "-c", SHOW)
    assert said.code == 0, said.err
    shown = sorted(line.split()[-3:] for line in said.out.splitlines() if " 3 6" in line)
    assert shown == [["0", "3", "6"], ["1", "3", "6"]]
    assert "JAX_PROCESS_ID=1 JAX_NUM_CPU_DEVICES=3" in said.err


def test_one_failure_ends_all(launch):
    fails = "import os, sys, time; os.environ['JAX_PROCESS_ID'] == '1' and sys.exit(5)"
    began = time.monotonic()
    said = launch(
        "submit", "--target=local", "--", sys.executable, "-c", fails + "; time.sleep(60)"
    )
    assert said.code == 5 and time.monotonic() - began < 50


def test_render_touches_nothing(launch, tmp_path):
    said = launch("render", "--target=local", "--", "touch", str(tmp_path / "x"))
    assert said.code == 0 and len(said.out.splitlines()) == 2
    assert not (tmp_path / "x").exists()


def test_refusals(refused):
    assert "--hosts" in refused("submit", "--target=local", "--hosts=0", "--", "true")
    assert "after --" in refused("render", "--target=local")
