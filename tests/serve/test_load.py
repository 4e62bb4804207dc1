"""The load tool against a server: what it tells is what happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from interaction.serve import load


def test_more_speakers_than_slots(served, tmp_path):
    report, plot = tmp_path / "load.json", tmp_path / "load.png"
    command = [
        sys.executable, "-m", "interaction.serve.load", f"--url=ws://127.0.0.1:{served.port}",
        f"--speakers={served.slots + 1}", "--seconds=4", f"--report={report}",
        f"--plot={plot}",
    ]  # fmt: skip
    env = os.environ | {"INTERACTION_KEY": served.key}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr
    found = json.loads(report.read_text())
    assert found["held"] == served.slots and found["replies"] == 20 * served.slots
    assert len(found["refused"]) == 1 and "slots are taken" in found["refused"][0]
    assert found["server"]["ticks"] > 10 and found["reply_ms"]["p50"] > 0
    server = found["server"]
    assert 0 < server["compute_ms"]["p50"] <= server["compute_ms"]["p99"]
    assert server["compute_tail_over_head"] > 0 and server["compiled"] == 0
    assert len(server["compute_p50_by_tenth_ms"]) == 10
    assert plot.stat().st_size > 1_000


def test_what_grows_is_seen():
    assert load.tail_over_head([100.0] * 80 + [120.0] * 20) == 1.2
    assert load.tail_over_head([100.0] * 9) is None
    assert load.by_tenth([100.0] * 80 + [120.0] * 20) == [100.0] * 8 + [120.0] * 2
    bucket = "interaction_tick_seconds_bucket."
    ticks = {"interaction_tick_seconds_count": 200.0, f"{bucket}+Inf": 200.0}
    within = {f"{bucket}0.1": 197.0, f"{bucket}0.15": 198.0, f"{bucket}0.2": 200.0}
    assert load.p99_at_most(ticks | within) == 150.0
    assert load.p99_at_most(ticks | {f"{bucket}0.1": 197.0}) is None


def test_no_server_is_one_line():
    command = [sys.executable, "-m", "interaction.serve.load", "--url=ws://127.0.0.1:9"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "start the server" in done.stderr


def test_a_bad_network_is_told(served, tmp_path):
    command = [
        sys.executable, "-m", "interaction.serve.load", f"--url=ws://127.0.0.1:{served.port}",
        "--speakers=2", "--seconds=6", f"--report={tmp_path / 'load.json'}", "--seed=2",
        "--delay-ms=600", "--loss=0.2", "--reorder=0.2", "--duplicate=0.2",
    ]  # fmt: skip
    env = os.environ | {"INTERACTION_KEY": served.key}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "load.json").read_text())
    assert found["config"]["network"]["loss"] == 0.2 and found["config"]["behind"] == 4
    assert found["held"] == 2 and found["replies"] == 60
    assert found["lost"] > 0 and found["doubled"] > 0
    assert set(found["dropped"]) == {"late", "early", "again"}
    assert sum(found["dropped"].values()) > 0 and found["unheard_s"] > 0
    assert found["reply_ms"]["p50"] > 600


def test_a_network_that_cannot_be_is_one_line():
    command = [sys.executable, "-m", "interaction.serve.load", "--loss=2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "--loss=2.0" in done.stderr
