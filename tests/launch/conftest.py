"""`python -m launch` as a person calls it, in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from interaction.errors import run_command
from launch.__main__ import main

# Waits for the signal itself: a handler's may come just before a sleep, and run after it.
SAVES = """
import signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("ready", flush=True)
if signal.sigtimedwait([signal.SIGTERM], 30):
    time.sleep(0.5)
    print("saved", flush=True)
"""


class Said(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def launch(monkeypatch, capfd) -> Callable[..., Said]:
    def call(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["launch", *words])
        with pytest.raises(SystemExit) as end:
            run_command(main)
        out, err = capfd.readouterr()
        return Said(int(end.value.code or 0), out, err)

    return call


@pytest.fixture
def refused(launch) -> Callable[..., str]:
    """The one line on standard error of a command that must end with status 2."""

    def call(*words: str) -> str:
        said = launch(*words)
        assert said.code == 2 and not said.out, said
        lines = [x for x in said.err.splitlines() if not x.startswith("note: ")]
        assert len(lines) == 1 and lines[0].startswith("error: "), said.err
        return lines[0]

    return call
