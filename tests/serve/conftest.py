"""A server in a process of its own, for all tests that speak to one; people who speak."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from interaction.grammar import Kind
from interaction.package import open_package
from interaction.serve import messages as m
from interaction.serve.client import Client
from interaction.serve.engine import Engine, Seat
from interaction.serve.native import say
from interaction.serve.room import Turn
from interaction.serve.sound import Pcm

SLOTS = 6


class Served:
    """Ends when it is told to, or with the tests. It admits on a busy machine too."""

    key = "a-key"

    def __init__(self, model, *flags: str, slots: int = SLOTS) -> None:
        self.slots = slots
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "interaction.serve", f"--checkpoint={model}",
                   f"--port={self.port}", f"--slots={self.slots}",
                   "--close=0", *flags]  # fmt: skip
        env = os.environ | {"INTERACTION_KEY": self.key}
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, env=env, stderr=self.errors)
        end = time.monotonic() + 300
        while self.status("/healthz") != 200:
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end
            time.sleep(0.2)

    def said(self) -> str:
        """What it wrote to its standard error."""
        self.errors.seek(0)
        return self.errors.read()

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.port}{path}"
        asked = urllib.request.Request(url, method=method, headers=headers)
        try:
            with urllib.request.urlopen(asked, timeout=20) as answer:
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

    def emptied(self) -> Served:
        """Itself, when all who were there have left: some break off, and are waited for."""
        end = time.monotonic() + 90
        while self.figure("interaction_sessions") or self.figure(
            "interaction_sessions_held"
        ):
            assert time.monotonic() < end, "who broke off was never let go"
            time.sleep(0.1)
        return self

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def sound(seed: int, number: int) -> np.ndarray:
    """float32 [3200] of a person's turn, as 16 bits hold it; no two are alike."""
    rng = np.random.default_rng([seed, number])
    return (rng.integers(-3000, 3000, 3200) / 32768).astype(np.float32)


class Person:
    """Speaks well ahead of the clock, and keeps what was replied (`said`) and what the
    model had heard by then (`heard`: the turn's number, or None for silence), which on a
    busy machine is not all that was sent. past: whose conversation it goes on with."""

    delay, ahead = 10, 5  # turns: three seconds to be heard in

    def __init__(self, served, seed: int, past: Person | None = None, **options) -> None:
        self.seed, self.past = seed, past
        url = f"ws://127.0.0.1:{served.port}"
        self.client = Client(
            url, served.key, seed, temperature=1.0, delay=self.delay, **options
        )
        self.said: list[m.Say] = []
        self.heard: list[int | None] = []

    async def __aenter__(self) -> Person:
        await self.client.__aenter__()
        self.begins = self.client.turn
        self._clock = self.begins - 1  # of the last reply
        self._next = self._first = max(self.begins - self.delay, 0)
        if self.past:
            self.heard += self.past.until(self.begins)
        await self._speak()
        return self

    async def __aexit__(self, *error) -> None:
        await self.client.__aexit__(*error)

    async def _speak(self) -> None:
        while self._next <= self._clock + 1 + self.ahead:
            await self.client.hear(self.sound(self._next), turn=self._next)
            self._next += 1

    def sound(self, number: int) -> np.ndarray:
        return sound(self.seed, number)

    async def converse(self, turns: int) -> None:
        """So many replies more."""
        turns += len(self.said)
        async for reply in self.client:
            said = reply.message
            passed = said.turn - self._clock - 1
            self._clock, number = said.turn, said.turn - self.delay
            missing = said.missing_ms - 200.0 * passed
            self.heard.append(number if number >= self._first and missing <= 0 else None)
            self.said.append(said)
            await self._speak()
            if len(self.said) >= turns:
                return
        raise AssertionError(self.client.why)

    def until(self, turn: int) -> list[int | None]:
        """What was heard before a turn of the clock; of replies that broke with the
        connection it is taken that all had come."""
        after = sum(said.turn >= turn for said in self.said)
        heard = self.heard[: len(self.heard) - after]
        unseen = range(self._clock + 1 - self.delay, turn - self.delay)
        return heard + [number if number >= 0 else None for number in unseen]

    @property
    def bits(self) -> list[bytes]:
        return [bits(said) for said in self.said]


def bits(said: m.Say) -> bytes:
    """All of a reply that is the model's; events by how long before its end."""
    end = 0.2 * (said.turn + 1)
    events = [(round(end - e.t_s, 3), e.lane, e.kind, e.text) for e in said.events]
    return m.encode((said.audio, said.text, said.heard, events, said.cleared))


class Alone:
    def __init__(self, model) -> None:
        self.engine = Engine(open_package(model), SLOTS)

    def __call__(self, person: Person) -> list[bytes]:
        """The bits of the replies to what a person was heard to say."""
        seat = self.engine.admit(person.seed, temperature=1.0)
        return self.replies(seat, person.seed, person.heard)[-len(person.said) :]

    def replies(self, seat: Seat, seed: int, heard: list[int | None]) -> list[bytes]:
        found = []
        for number in heard:
            wave = np.zeros(3200) if number is None else sound(seed, number)
            out = self.engine.tick({seat: (looked := seat.talk.check(wave))})[seat]
            turn = Turn(out, out.turn_s, 0.0, looked)
            found.append(bits(say(turn, Pcm().pack(out.audio), 200)))
        self.engine.leave(seat)
        return found


@pytest.fixture(scope="session")
def person() -> type[Person]:
    return Person


@pytest.fixture(scope="session")
def eager(packed, tiny, tiny_params):
    """The tiny model, but it delegates often: the row of that token is longer."""
    rows = tiny_params["unembed_controls"].at[Kind.DELEGATE].multiply(20.0)
    return packed(tiny, tiny_params | {"unembed_controls": rows})


@contextlib.contextmanager
def serving(eager):
    """start(*flags) -> a server, of the eager model where none is named; they end here."""
    servers = []

    def start(*flags: str, model=eager, slots: int = SLOTS) -> Served:
        servers.append(Served(model, *flags, slots=slots))
        return servers[-1]

    yield start
    for server in servers:
        server.end()


@pytest.fixture(scope="module")
def serve(eager):
    """serve(*flags) -> a server for the tests of this file."""
    with serving(eager) as start:
        yield start


@pytest.fixture(scope="session")
def shared(eager):
    """The servers of several files."""
    with serving(eager) as start:
        yield start


@pytest.fixture(scope="module")
def alone(eager):
    """An engine here, with nobody else in it."""
    return Alone(eager)


@pytest.fixture(scope="session")
def short_of_patience(shared, tmp_path_factory):
    records = tmp_path_factory.mktemp("records")
    server = shared("--idle=15", "--grace=1", "--temperature=1", f"--record={records}")
    server.records = records
    return server


@pytest.fixture
def strict(short_of_patience):
    """Short of patience, and it records (in `records`); nobody is there yet."""
    return short_of_patience.emptied()


@pytest.fixture(scope="session")
def patient(shared):
    return shared("--idle=20", "--grace=30", "--temperature=1")


@pytest.fixture
def served(patient):
    """Patient; nobody is there yet."""
    return patient.emptied()


@pytest.fixture(scope="session")
def browse(chromium):
    """browse(heard) -> `Chromium` of the file beside this one."""
    path = Path(__file__).with_name("chromium.py")
    spec = importlib.util.spec_from_file_location("chromium", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda heard: module.Chromium(chromium, heard)
