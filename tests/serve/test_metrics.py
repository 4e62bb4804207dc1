"""Every figure that Prometheus is told, and what moves it, on a server of its own."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal

import numpy as np
import pytest

from interaction.serve import messages as m
from interaction.serve.client import Client, Refused
from tests.serve.conftest import SLOTS

HISTOGRAMS = {
    "tick_seconds", "tick_late_seconds", "compute_seconds", "queue_seconds",
    "send_seconds", "input_jitter_seconds",
}  # fmt: skip
GAUGES = {
    "turns_skipped", "sessions", "sessions_held", "slots", "compiled", "cache_positions",
    "cache_positions_held", "sound_waiting", "words_waiting",
}  # fmt: skip
COUNTERS = {
    "deadline_misses", "input_missing_seconds", "messages_wrong", "refused", "ended",
    "snapshots_written", "snapshots_failed", "input_dropped",
}  # fmt: skip
SILENCE = np.zeros(3200, np.float32)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture(scope="module")
def server(serve, shelf):
    return serve(f"--snapshots={shelf}", "--grace=1", "--idle=60")


def read(server) -> dict[str, float]:
    """Samples by name, without `interaction_`; what has labels is summed."""
    found: dict[str, float] = {}
    text = server.get("/metrics")[1]
    for name, value in re.findall(r"^interaction_(\w+)(?:{.*})? (\S+)$", text, re.M):
        found[name] = found.get(name, 0.0) + float(value)
    return found


async def until(true) -> None:
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(true):
            await asyncio.sleep(0.02)


def test_every_name_is_known(server):
    text = server.get("/metrics")[1]
    found = dict(re.findall(r"^# TYPE interaction_(\w+) (\w+)$", text, re.M))
    by = {kind: {n for n, k in found.items() if k == kind} for kind in found.values()}
    created = {name for name in by["gauge"] if name.endswith("_created")}
    assert by["histogram"] == HISTOGRAMS
    assert by["gauge"] - created == GAUGES
    assert {name.removesuffix("_total") for name in by["counter"]} == COUNTERS


def test_every_figure_moves(server, shelf):
    """One talks, with sound in advance, late sound, nonsense and many words; the slots are
    filled; the process stands still for a while; a connection breaks."""
    url, most = f"ws://127.0.0.1:{server.port}", {}

    def rises(*names: str) -> bool:
        now = read(server)
        for name in names:
            most[name] = max(most.get(name, 0.0), now[name])
        return all(most[name] > before[name] for name in names)

    async def converse():
        async with Client(url, server.key, delay=5) as talk:
            reading = asyncio.create_task(read_all(talk))
            for turn in range(8):
                await talk.hear(SILENCE, turn=turn, text="one two three " * 20)
            await until(lambda: rises("sessions", "cache_positions"))
            await until(lambda: rises("words_waiting"))
            for turn in range(8, 12):
                await talk.hear(SILENCE, turn=turn)
            await until(lambda: rises("sound_waiting"))
            await talk.hear(SILENCE, turn=0)
            await talk._socket.send(b"\xc1")
            await talk._socket.send(m.encode(m.Snapshot()))
            await until(lambda: rises("input_dropped_total", "messages_wrong_total"))
            await until(lambda: rises("snapshots_written_total"))
            for seconds in (0.5, 1.5):  # late by turns, and by more than it catches up
                os.kill(server.process.pid, signal.SIGSTOP)
                await asyncio.sleep(seconds)
                os.kill(server.process.pid, signal.SIGCONT)
            await until(lambda: rises("deadline_misses_total", "turns_skipped"))
            await until(lambda: rises("input_missing_seconds_total"))
            crowd = [Client(url, server.key) for _ in range(SLOTS - 1)]
            for each in crowd:
                await each.__aenter__()
            with pytest.raises(Refused):
                await Client(url, server.key).__aenter__()
            for each in crowd:
                await each.__aexit__()
            await until(lambda: rises("refused_total", "ended_total"))
            shutil.rmtree(shelf)
            talk._socket.transport.abort()
            await until(lambda: rises("sessions_held", "snapshots_failed_total"))
            await reading

    async def read_all(talk: Client) -> None:
        async for _ in talk:
            pass

    before = read(server)
    assert before["slots"] == SLOTS and before["compiled"] == 0
    assert before["cache_positions"] == 0 < before["cache_positions_held"]
    asyncio.run(converse())
    falls = ("cache_positions", "sound_waiting", "words_waiting", "sessions_held")
    asyncio.run(until(lambda: not any(read(server)[name] for name in falls)))
    after = read(server)
    assert most["cache_positions"] < after["cache_positions_held"]
    counts = {name: after[f"{name}_count"] - before[f"{name}_count"] for name in HISTOGRAMS}
    assert min(counts.values()) > 0
    sums = {name: after[f"{name}_sum"] for name in HISTOGRAMS}
    assert 0 < sums["compute_seconds"] < sums["tick_seconds"]
    assert sums["queue_seconds"] > 0 and sums["send_seconds"] > 0
    moved = {name.removesuffix("_total") for name in most}
    still = {"slots", "compiled", "cache_positions_held"}
    assert moved == (GAUGES | COUNTERS) - still
    assert after["compiled"] == 0 and after["cache_positions_held"] % SLOTS == 0
