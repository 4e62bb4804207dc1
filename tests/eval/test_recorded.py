"""A folder of recordings as an agent: the clock, rates, words, and what may be wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from eval import record
from eval.commands.run import open_agent
from eval.run import run
from eval.sample import Fault, Sample
from interaction.errors import InputError

TURN = 3_200


def wave(seconds: float, rate: int = 16_000) -> np.ndarray:
    """Silent, but for a hum from 1.0 to 1.5 s."""
    out = np.zeros(round(seconds * rate), np.float32)
    n = np.arange(rate, round(1.5 * rate))
    out[n] = 0.5 * np.sin(n * 2_000 / rate)
    return out


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "outputs"
    for name, rate, seconds in (("a", 16_000, 3.0), ("b", 24_000, 3.0), ("c", 48_000, 9.0)):
        (place / name).mkdir(parents=True)
        soundfile.write(place / name / "output.wav", wave(seconds, rate), rate)
    soundfile.write(place / "flat.wav", wave(1.7), 16_000)
    (place / "stereo").mkdir()
    both = np.stack([wave(2.0)] * 2, 1)
    soundfile.write(place / "stereo" / "output.wav", both, 16_000)
    cut = (place / "a" / "output.wav").read_bytes()[:30]
    (place / "cut.wav").write_bytes(cut)
    chunks = [{"text": " red", "timestamp": [1.0, 1.1]},
              {"text": "blue", "timestamp": [1.25, 1.5]}]  # fmt: skip
    (place / "a" / "output.json").write_text(json.dumps({"text": "", "chunks": chunks}))
    (place / "b" / "output.json").write_text('{"chunks": [{"text": "x"}]}')
    return place


@pytest.fixture
def replay(folder, tmp_path):
    def replay(*ids: str) -> dict:
        agent = open_agent("recorded", f"path={folder}")
        samples = [Sample(id_, np.zeros(15 * TURN, np.float32)) for id_ in ids]
        run(agent, iter(samples), tmp_path / "run", "lockstep")
        return {id_: record.load(tmp_path / "run" / id_) for id_ in ids}

    return replay


def test_sound_stays_on_the_clock_at_any_rate(replay):
    for r in replay("a", "c", "flat").values():
        loud = np.flatnonzero(np.abs(r.output) > 0.02) / 16_000
        assert loud[0] == pytest.approx(1.0, abs=0.005)
        assert loud[-1] == pytest.approx(1.5, abs=0.005)
        assert len(r.output) == 15 * TURN


def test_words_are_said_in_their_turn(replay):
    assert replay("a")["a"].text == ((1.0, " red"), (1.2, " blue"))


@pytest.mark.parametrize(
    ("id_", "why"),
    [("none", "neither none.wav nor none/output.wav"), ("stereo", "2 channels"),
     ("cut", "cut.wav"), ("b", "no words with timestamps")],
)  # fmt: skip
def test_what_is_wrong_is_counted_and_ends_nothing(replay, id_, why):
    found = replay("a", id_)
    assert isinstance(found[id_], Fault) and why in found[id_].why
    assert isinstance(found["a"], record.Record)


@pytest.mark.parametrize("given", ["", "path=/nowhere", "path=.,more=1"])
def test_arguments_are_checked(given):
    with pytest.raises(InputError, match="--agent_args: recorded"):
        open_agent("recorded", given)
