"""A server in a process of its own, for all tests that speak to one."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from interaction import package
from interaction.grammar import Kind


class Served:
    """Ends when it is told to, or with the tests. It admits on a busy machine too."""

    key = "a-key"
    slots = 3

    def __init__(self, model, *flags: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "interaction.serve", f"--checkpoint={model}",
                   f"--port={self.port}", f"--slots={self.slots}",
                   "--close=0", *flags]  # fmt: skip
        env = os.environ | {"INTERACTION_KEY": self.key}
        self.process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 300
        while self.status("/healthz") != 200:
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.2)

    def get(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def status(self, path: str) -> int:
        try:
            return self.get(path)[0]
        except OSError:
            return 0

    def figure(self, name: str) -> float:
        found = re.search(rf"^{name} (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return float(found[1])

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="package")
def eager(tiny, tiny_params, tmp_path_factory):
    """The tiny model, but it delegates often: the row of that token is longer."""
    directory = tmp_path_factory.mktemp("eager")
    rows = tiny_params["unembed_controls"].at[Kind.DELEGATE].multiply(20.0)
    package.save_model(directory, tiny, tiny_params | {"unembed_controls": rows})
    for name in ("tokenizer.json", "waveform.safetensors"):
        shutil.copy(package.ASSETS / "nano" / name, directory / name)
    return directory


@pytest.fixture(scope="package")
def serve(eager):
    """serve(*flags) -> a server of the eager model, or of another."""
    servers = []

    def start(*flags: str, model=eager) -> Served:
        servers.append(Served(model, *flags))
        return servers[-1]

    yield start
    for server in servers:
        server.end()


@pytest.fixture(scope="package")
def served(serve):
    return serve("--idle=20", "--grace=30", "--temperature=1")
