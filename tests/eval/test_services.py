"""Agents and services of others: what is said when, tools, interruptions, broken lines.

The services are small ones in a process of their own (`services.py`), which hold agents to
the published messages. They have the services' words; how the services behave is not tried.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eval import record
from eval.commands.run import open_agent
from eval.run import run
from eval.sample import Fault, Sample, Span, Tool
from interaction.modality.audio import SAMPLE_RATE

PROTOCOLS = {
    "gemini_live": "url=ws://127.0.0.1:{port}/gemini",
    "live": "url=http://127.0.0.1:{port}/v1,rate=24000,backend=mind",
    "realtime": "url=http://127.0.0.1:{port}/v1",
}


@pytest.fixture(scope="module")
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    command = [sys.executable, str(Path(__file__).with_name("services.py")), str(number)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    yield number
    process.kill()
    process.wait()


def sample(id_: str, turns: int, *speech: tuple[float, float], **more) -> Sample:
    """Somebody hums in each `speech` (seconds)."""
    wave = np.zeros(turns * 3_200, np.float32)
    for t0, t1 in speech:
        n = np.arange(round(t0 * SAMPLE_RATE), round(t1 * SAMPLE_RATE))
        wave[n] = 0.5 * np.sin(n * 0.3)
    return Sample(id_, wave, tuple(Span("hm", *times) for times in speech), **more)


def weather(arguments) -> str:
    return f"{arguments['city']} rain"


SLOW_S = 0.3  # that a busy machine may take longer
PLACE = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = Tool("weather", "Weather of a city", PLACE, weather, seconds=0.4)
SAMPLES = (
    sample("plain", 17, (0.4, 0.9)),
    sample("barge", 17, (0.4, 0.9), (1.8, 2.1)),
    sample("tool", 17, (0.4, 0.9), tools=(TOOL,)),
)


@pytest.fixture(scope="module", params=PROTOCOLS)
def stored(request, port, tmp_path_factory):
    """-> (protocol, records by id), run in real time side by side."""
    arguments = PROTOCOLS[request.param].format(port=port)
    agent = open_agent(request.param, f"{arguments},slots={len(SAMPLES)}")
    folder = tmp_path_factory.mktemp(request.param)
    run(agent, iter(SAMPLES), folder, "realtime")
    return request.param, {s.id: record.load(folder / s.id) for s in SAMPLES}


def loud(r: record.Record, t0: float, t1: float) -> np.ndarray:
    """Of each 100 ms in between, whether something sounds."""
    cut = r.output[round(t0 * SAMPLE_RATE) : round(t1 * SAMPLE_RATE)]
    return np.abs(cut.reshape(-1, 1_600)).max(1) > 0.02


def test_words_are_said_with_their_sound(stored):
    """The user's silence is sent at 1.2; what is said then plays from 1.4 on at the
    earliest, a word every 0.6 s, though all came at once."""
    _, by_id = stored
    r = by_id["plain"]
    assert isinstance(r, record.Record), r
    start = r.text[0][0]
    assert 1.4 <= start < 1.4 + SLOW_S
    assert r.transcript == "one two three"
    # Resampling holds a little back: words begin just before 0.6 and 1.2 s have passed.
    assert [round(t - start, 3) for t, _ in r.text] == [0, 0.4, 1.0]
    assert not loud(r, 0, start).any() and not loud(r, start + 1.8, r.seconds).any()
    assert loud(r, start, start + 1.7).all()


def test_who_is_interrupted_does_not_say_the_rest(stored):
    """The user speaks up from 1.8 on, which is sent at 2.0."""
    protocol, by_id = stored
    r = by_id["barge"]
    assert isinstance(r, record.Record), r
    if protocol == "live":  # it has no such message
        assert not r.cleared and r.transcript.startswith("one two three")
        return
    [cut] = r.cleared
    assert 2.2 <= cut < 2.2 + SLOW_S
    before = [word for t, word in r.text if t < cut]
    assert "".join(before).split() == ["one", "two"]
    assert loud(r, 2.0, 2.2).all() and not loud(r, cut, cut + 0.2).any()


def test_tools_are_called_and_their_answers_said(stored):
    _, by_id = stored
    r = by_id["tool"]
    assert isinstance(r, record.Record), r
    [call] = r.calls
    assert (call.name, call.arguments) == ("weather", {"city": "Oslo"})
    assert 1.4 <= call.t < 1.4 + SLOW_S
    [(t, name, text)] = r.results
    assert (name, text) == ("weather", "Oslo rain")
    assert t == pytest.approx(call.t + 0.4)
    assert r.transcript == "Oslo rain" and r.text[0][0] > t


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_broken_line_is_a_fault_of_its_sample(protocol, port, tmp_path):
    agent = open_agent(protocol, PROTOCOLS[protocol].format(port=port))
    told = sample("told", 10, (0.2, 0.4), instructions="please break off")
    run(agent, iter([told]), tmp_path, "realtime")
    fault = record.load(tmp_path / "told")
    assert isinstance(fault, Fault) and "Broken" in fault.why


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_service_is_a_fault(protocol, tmp_path):
    agent = open_agent(protocol, PROTOCOLS[protocol].format(port=9))
    run(agent, iter([sample("alone", 3)]), tmp_path, "realtime")
    fault = record.load(tmp_path / "alone")
    assert isinstance(fault, Fault) and fault.why.startswith("ConnectionRefusedError")
