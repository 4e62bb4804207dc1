"""Several hosts on this machine: one process each, which find each other as on a pod.

    run(["python", "-m", "interaction.train", "--distributed", ...], hosts=2, devices=4)

Every process gets JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, JAX_PROCESS_ID and
JAX_NUM_CPU_DEVICES, and a process group of its own, so that what it starts goes with it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import IO

from interaction.errors import InputError

GRACE_S = 10.0  # from the failure of one host until the others are killed
POLL_S = 0.05
PASSED_ON = (signal.SIGTERM, signal.SIGINT)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def start(
    command: Sequence[str], hosts: int, devices: int, output: int | IO | None = None
) -> list[subprocess.Popen]:
    """The hosts' processes, by number; stderr goes where `output` says stdout goes."""
    if hosts < 1 or devices < 1:
        raise InputError(f"{hosts} hosts with {devices} devices each; both start at 1")
    address = f"localhost:{free_port()}"
    processes: list[subprocess.Popen] = []
    for number in range(hosts):
        own = {
            "JAX_COORDINATOR_ADDRESS": address,
            "JAX_NUM_PROCESSES": str(hosts),
            "JAX_PROCESS_ID": str(number),
            "JAX_NUM_CPU_DEVICES": str(devices),
            "PYTHONUNBUFFERED": "1",
        }
        try:
            process = subprocess.Popen(
                list(command),
                env=os.environ | own,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            end(processes)
            raise InputError(f"{command[0]}: {error.strerror}; name a program") from None
        processes.append(process)
    return processes


def end(processes: Sequence[subprocess.Popen], grace_s: float = 0.0) -> None:
    """SIGTERM, then, after the grace, SIGKILL to all that is left of each process's
    group. (What a host started may outlive it.)"""
    if grace_s:
        for process in processes:
            if process.poll() is None:
                process.terminate()
        limit = time.monotonic() + grace_s
        while time.monotonic() < limit and any(p.poll() is None for p in processes):
            time.sleep(POLL_S)
    for process in processes:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # all gone
        process.wait()


def exit_status(code: int) -> int:
    """As a shell gives it: 128 + n for a process that signal n ended."""
    return 128 - code if code < 0 else code


def wait(processes: Sequence[subprocess.Popen], grace_s: float = GRACE_S) -> int:
    """Until all have ended; the failure of one ends the others. -> exit status of the
    first that failed, else 0."""
    try:
        while True:
            codes = [process.poll() for process in processes]
            failed = [code for code in codes if code]
            if failed:
                return exit_status(failed[0])
            if None not in codes:
                return 0
            time.sleep(POLL_S)
    finally:
        end(processes, grace_s)


def _copy(number: int, pipe: IO[str]) -> None:
    for line in pipe:
        # One write a line: hosts do not cut into each other's.
        sys.stdout.write(f"[{number}] {line.rstrip(chr(10))}\n")
        sys.stdout.flush()


def run(command: Sequence[str], hosts: int, devices: int) -> int:
    """Run the command on so many hosts, each with so many devices. Lines of their output
    begin with the host's number; SIGTERM and SIGINT are passed on. -> exit status of the
    first host that failed, else 0. Raises InputError when the command does not start."""
    signalled: list[int] = []
    before = {s: signal.signal(s, lambda n, _: signalled.append(n)) for s in PASSED_ON}
    processes: list[subprocess.Popen] = []
    readers: list[threading.Thread] = []
    try:
        processes = start(command, hosts, devices, subprocess.PIPE)
        for number, process in enumerate(processes):
            reader = threading.Thread(
                target=_copy, args=(number, process.stdout), daemon=True
            )
            reader.start()
            readers.append(reader)

        def pass_on(number: int, _: object = None) -> None:
            for process in processes:
                if process.poll() is None:
                    process.send_signal(number)

        for s in PASSED_ON:
            signal.signal(s, pass_on)
        for number in signalled:  # while they were started
            pass_on(number)
        return wait(processes)
    finally:
        end(processes)
        for reader in readers:
            reader.join(timeout=5)
        for s, handler in before.items():
            signal.signal(s, handler)
