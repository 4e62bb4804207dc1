"""Several hosts as processes of this machine: who says what, and how they end."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from interaction.errors import InputError
from launch import local

ROOT = Path(__file__).parents[2]
HOST = """
import os, signal, sys, time
number = int(os.environ["JAX_PROCESS_ID"])
how = sys.argv[1]
if how == "saves":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("host", number, "of", os.environ["JAX_NUM_PROCESSES"],
      "devices", os.environ["JAX_NUM_CPU_DEVICES"], flush=True)
if how == "one fails" and number == 1:
    sys.exit(7)
if how == "saves":
    signal.sigtimedwait([signal.SIGTERM], 60)
elif how != "ends":
    time.sleep(60)
"""


def launch(how: str, hosts: int = 2) -> subprocess.Popen:
    command = [sys.executable, "-c", HOST, how]
    code = (
        f"import sys; from launch import local; sys.exit(local.run({command}, {hosts}, 3))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def test_lines_carry_the_number_of_their_host():
    process = launch("ends", hosts=3)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    want = [f"[{i}] host {i} of 3 devices 3" for i in range(3)]
    assert sorted(output.splitlines()) == want


def test_one_failure_ends_all_with_its_status():
    began = time.monotonic()
    process = launch("one fails")
    process.communicate(timeout=60)
    assert process.returncode == 7
    assert time.monotonic() - began < 50  # the other one would sleep on


@pytest.mark.parametrize(("how", "code"), [("saves", 0), ("sleeps", 128 + signal.SIGTERM)])
def test_sigterm_is_passed_on(how, code):
    process = launch(how)
    lines = [process.stdout.readline() for _ in range(2)]
    assert all("host" in line for line in lines)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == code


def test_what_a_host_started_goes_with_it(tmp_path):
    beats = tmp_path / "beats"
    child = f"""
import time
while True:
    open({str(beats)!r}, "a").write("x")
    time.sleep(0.02)
"""
    host = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    processes = local.start([sys.executable, "-c", host], 1, 1)
    while not beats.exists():
        time.sleep(0.05)
    local.end(processes)
    size = beats.stat().st_size
    time.sleep(0.5)
    assert beats.stat().st_size == size


def test_wrong_input():
    with pytest.raises(InputError, match="no-such-program"):
        local.run(["no-such-program"], 1, 1)
    with pytest.raises(InputError, match="start at 1"):
        local.run(["true"], 0, 1)
