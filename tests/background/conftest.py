"""What tests of backends share: a talk, tools, and endpoints in processes of their own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from typing import Any

import pytest

from interaction.background.protocol import Context, Happened, Said, ToolSpec, Update
from interaction.background.toolbox import Result, Toolbox
from interaction.errors import InputError


class Weather:
    """A tool. asked: what it was asked."""

    spec = ToolSpec(
        "weather",
        "the weather of a city",
        {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    )

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def call(self, arguments: dict[str, Any]) -> Result:
        self.asked.append(arguments["city"])
        if arguments["city"] == "Atlantis":
            raise InputError("there is no city Atlantis")
        return Result("sunny")

    async def close(self) -> None: ...


@pytest.fixture
def weather() -> Weather:
    return Weather()


@pytest.fixture
def tools(weather) -> Toolbox:
    return Toolbox([weather])


@pytest.fixture
def talk(tools):
    """A task's context, by what the user said last."""

    def make(last: str = "and in Rome?", directive: str = "") -> Context:
        said = (
            Said("user", 1.0, 2.5, "what is the weather in Oslo?"),
            Said("agent", 2.75, 4.0, "it snows"),
            Said("user", 6.0, 7.0, last),
        )
        happened = (
            Happened("interrupted", 3.9),
            Happened("typed", 5.0, "a\n[9.9] user: b"),
        )
        return Context("task-1", 7.2, directive, "be kind", said, happened, (), tools.specs)

    return make


@pytest.fixture
def gather(tools):
    """All updates of a backend's task."""

    async def gathered(backend, context) -> list[Update]:
        async def agree(*_) -> bool:
            return True

        return [update async for update in backend.run(context, tools, agree)]

    return gathered


def until_it_answers(process: subprocess.Popen, port: int) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.05)


class Process:
    """A server in a process of its own, on a free port, once it answers."""

    def __init__(self, *command: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        filled = [part.format(port=self.port) for part in command]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            [sys.executable, *filled], stdout=quiet, stderr=quiet
        )
        until_it_answers(self.process, self.port)

    def ask(self, path: str, body: Any = None) -> Any:
        """GET, or POST where there is a body."""
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(
            urllib.request.Request(url, data), timeout=20
        ) as answer:
            return json.load(answer)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def process():
    """Starts servers, which end with the tests."""
    started: list[Process] = []

    def start(*command: str) -> Process:
        started.append(Process(*command))
        return started[-1]

    yield start
    for each in started:
        each.end()
