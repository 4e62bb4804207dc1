"""The load tool against a server: what it tells is what happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys


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
    assert plot.stat().st_size > 1_000


def test_no_server_is_one_line():
    command = [sys.executable, "-m", "interaction.serve.load", "--url=ws://127.0.0.1:9"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "start the server" in done.stderr
