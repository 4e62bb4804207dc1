"""Several processes of one program on this machine, as hosts of a cluster would run it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def run(command: Sequence[str], hosts: int, devices: int) -> int:
    """Run `command` as `hosts` processes of `devices` CPU devices each, to their end.

    Lines of output carry the host's number. SIGTERM and SIGINT are passed on. When one
    process fails the others are ended. Returns the first status that is not 0, else 0.
    """
    port = free_port()
    children = []
    for host in range(hosts):
        env = os.environ | {
            "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
            "JAX_NUM_PROCESSES": str(hosts),
            "JAX_PROCESS_ID": str(host),
            "JAX_NUM_CPU_DEVICES": str(devices),
        }
        children.append(
            subprocess.Popen(
                command, env=env, text=True, start_new_session=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
        )  # fmt: skip
    pumps = [threading.Thread(target=_pump, args=pair) for pair in enumerate(children)]
    for pump in pumps:
        pump.start()

    def pass_on(number: int, frame: object) -> None:
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    before = {s: signal.signal(s, pass_on) for s in (signal.SIGTERM, signal.SIGINT)}
    failed = 0
    try:
        running = set(children)
        while running:
            for child in list(running):
                try:
                    code = child.wait(timeout=0.1)
                except subprocess.TimeoutExpired:
                    continue
                running.remove(child)
                if code and not failed:
                    failed = code if code > 0 else 128 - code
                    pass_on(signal.SIGTERM, None)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for pump in pumps:
            pump.join()
    return failed


def _pump(host: int, child: subprocess.Popen) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        sys.stdout.write(f"[{host}] {line}")
        sys.stdout.flush()
