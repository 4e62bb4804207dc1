"""Our own server, evaluated from end to end over the wire, against lockstep.

The same samples in lockstep and in real time: the same words, as many turns later as the
way takes. In lockstep a turn's answer plays at once. Over the wire a turn waits for the
server's next tick (200 ms at most, and as long as that was late), is computed and sent, and
what comes back plays from the next turn of the run's on, however late that is: so

    0 < turns later <= ceil((200 + tick late + tick + run behind) / 200)

with what the server and the run measured, each at its worst. Where sound is resampled or
coded, the end of a turn comes to be heard with the next: one turn more.
"""

from __future__ import annotations

import json
import math
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest

from eval import record

PROTOCOLS = {
    "live": "url=http://127.0.0.1:{port}/v1,model=nano",
    "realtime": "url=http://127.0.0.1:{port}/v1,model=nano",
    "moshi": "url=ws://127.0.0.1:{port}/api/chat",
}
SLOTS = 6  # two samples of each protocol, all at once
ASKED = ("--tasks=turn_synth", "--limit=2", "--vad=energy")
TRIES = 5  # while the machine is too busy for real time
BUSY_MS = 60.0


def eval_run(*asked: str) -> list[str]:
    return [sys.executable, "-m", "eval", "run", *ASKED, *asked]


class Server:
    def __init__(self, errors) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "interaction.serve", "--checkpoint=nano",
                   f"--port={self.port}", f"--slots={SLOTS}", "--close=0"]  # fmt: skip
        self.process = subprocess.Popen(command, stderr=errors)
        end = time.monotonic() + 300
        while not self.get("/healthz"):
            assert self.process.poll() is None and time.monotonic() < end
            time.sleep(0.2)

    def get(self, path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as answer:
                return answer.read().decode()
        except OSError:
            return ""

    def figures(self) -> dict[str, float]:
        found = re.findall(r"^(\w\S*) (\S+)$", self.get("/metrics"), re.MULTILINE)
        return {name: float(value) for name, value in found}


@pytest.fixture(scope="module")
def lockstep(tmp_path_factory):
    place = tmp_path_factory.mktemp("lockstep")
    command = eval_run(
        "--agent=checkpoint", f"--agent_args=name=nano,slots={SLOTS}",
        f"--output_path={place}",
    )  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return place


@pytest.fixture(scope="module")
def wire(lockstep, tmp_path_factory):
    """-> protocol: its run, and how late the server's ticks were and how long they took,
    at worst, in ms. All protocols at once, in a process each."""
    errors = tmp_path_factory.mktemp("server") / "errors"
    with errors.open("w") as file:
        server = Server(file)
        try:
            for _ in range(TRIES):
                before, runs = server.figures(), _runs(server.port, tmp_path_factory)
                after = server.figures()
                if kept_time(before, after, runs):
                    break
            else:
                raise AssertionError("too busy: sound was lost, or the run was late")
        finally:
            server.process.kill()
            server.process.wait()
    assert "Traceback" not in errors.read_text()
    worst = {name: worst_ms(name, before, after) for name in ("late_seconds", "seconds")}
    return {protocol: (place, worst) for protocol, place in runs.items()}


def _runs(port: int, tmp_path_factory) -> dict:
    places = {name: tmp_path_factory.mktemp(name) for name in PROTOCOLS}
    running = []
    for name, place in places.items():
        command = eval_run(
            f"--agent={name}", "--clock=realtime", f"--output_path={place}",
            f"--agent_args={PROTOCOLS[name].format(port=port)},slots=2",
        )  # fmt: skip
        running.append(subprocess.Popen(command, env=os.environ | {"COLUMNS": "120"}))
    for process in running:
        assert process.wait(timeout=120) == 0
    return places


def kept_time(before: dict, after: dict, runs: dict) -> bool:
    """Whether all was heard, and in time."""
    names = ("interaction_turns_skipped", 'interaction_input_dropped_total{why="late"}')
    whole = all(before[name] == after[name] for name in names)
    records = [record.load(p) for place in runs.values() for p in stored(place)]
    in_time = all(max(r.behind_ms) < BUSY_MS for r in records)
    return whole and in_time


def worst_ms(name: str, before: dict, after: dict) -> float:
    """The edge of the histogram's bucket that holds the longest."""
    total = f"interaction_tick_{name}_count"
    for key, value in after.items():
        edge = re.fullmatch(rf'interaction_tick_{name}_bucket{{le="(.+)"}}', key)
        if edge and value - before[key] == after[total] - before[total]:
            return 1e3 * float(edge[1])
    raise AssertionError(name)


def stored(place):
    return sorted(record.stored(place, "turn_synth"))


def rows(place) -> dict[str, dict]:
    lines = (place / "samples_turn_synth.jsonl").read_text().splitlines()
    return {row["id"]: row for row in map(json.loads, lines)}


def onset(r: record.Record) -> int:
    """The turn that the first word is said in."""
    return round(r.text[0][0] / 0.2)


def test_lockstep_answers(lockstep):
    """What is compared with is no silence."""
    assert [row["right"] for row in rows(lockstep).values()] == [1.0, 1.0]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_same_words_as_much_later_as_the_way_takes(protocol, wire, lockstep):
    place, worst = wire[protocol]
    for a, b in zip(stored(lockstep), stored(place), strict=True):
        here, there = record.load(a), record.load(b)
        assert isinstance(there, record.Record), there
        assert here.digest == there.digest
        assert there.transcript == here.transcript
        way = 200 + worst["late_seconds"] + worst["seconds"] + max(there.behind_ms)
        most = math.ceil(way / 200) + (protocol != "live")
        assert 1 <= onset(there) - onset(here) <= most


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_sound_says_so_too(protocol, wire, lockstep):
    """It begins in the turn of the first word, and latencies are as many turns later, to
    50 ms."""
    place, _ = wire[protocol]
    before, after = rows(lockstep), rows(place)
    for a, b in zip(stored(lockstep), stored(place), strict=True):
        here, there = record.load(a), record.load(b)
        later = after[b.name]["latency"] - before[a.name]["latency"]
        assert later == pytest.approx(0.2 * (onset(there) - onset(here)), abs=0.05)
        peaks = np.abs(there.output.reshape(-1, 3_200)).max(1)
        assert peaks[onset(there)] > 0.05 > 0.005 > peaks[: onset(there) - 1].max()


def test_a_paced_agent_wants_real_time(tmp_path):
    command = eval_run("--agent=moshi", f"--output_path={tmp_path}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "--clock=realtime" in done.stderr
