"""Hosts on this machine: real processes, by the command."""

from __future__ import annotations

import sys
import time

SHOW = (
    "import os, jax; jax.distributed.initialize(os.environ['JAX_COORDINATOR_ADDRESS'],"
    "int(os.environ['JAX_NUM_PROCESSES']), int(os.environ['JAX_PROCESS_ID']));"
    "print(jax.process_index(), jax.local_device_count(), jax.device_count())"
)

# What every step of training does over its hosts, without a step's own program: that takes
# each of two hosts half a minute to compile (tests/train/test_hosts.py has it).
TALLY = """
import sys
import jax, numpy as np
from interaction.parallel.mesh import make_mesh
from interaction.train import hosts
from interaction.train.feed import places, sharers

def main():
    hosts.join(4)
    for sizes in ({"fsdp": 2, "tensor": 2}, {"tensor": 4}):
        mesh = make_mesh(**sizes)
        asked = jax.process_index() == 1
        values = jax.device_get(hosts.Tally(mesh)(asked, np.array([3, 4, 5, 6], np.int32)))
        print("host", jax.process_index(), int(values["stop"]), int(values["positions"]),
              places(mesh, 4), sharers(mesh, 4))
    return 0

sys.exit(hosts.leave_at_once(main))
"""


def test_processes_find_each_other(launch):
    flags = ("--target=local", "--hosts=2", "--devices=3", "--env=JAX_PLATFORMS=cpu")
    said = launch("submit", *flags, "--", sys.executable, "-c", SHOW)
    assert said.code == 0, said.err
    shown = sorted(line.split()[-3:] for line in said.out.splitlines() if " 3 6" in line)
    assert shown == [["0", "3", "6"], ["1", "3", "6"]]
    assert "JAX_PROCESS_ID=1 JAX_NUM_CPU_DEVICES=3" in said.err


def test_hosts_add_up_what_each_knows(launch):
    """A signal to the second of two reaches both; both know whose rows are whose, and that
    they share them where an axis that no rows are divided over crosses the hosts."""
    flags = ("--target=local", "--hosts=2", "--devices=2")
    said = launch("submit", *flags, "--", sys.executable, "-c", TALLY)
    assert said.code == 0, said
    lines = sorted(x.partition("] ")[2] for x in said.out.splitlines() if "] host " in x)
    assert lines == [
        "host 0 1 18 (0, 1) 1", "host 0 1 18 (0, 1, 2, 3) 2",
        "host 1 1 18 (0, 1, 2, 3) 2", "host 1 1 18 (2, 3) 1",
    ]  # fmt: skip


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
