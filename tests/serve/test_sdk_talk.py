"""The recorded talk over others' protocols: what it tells is what came."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from interaction.package import ASSETS

TALK = str(Path(__file__).with_name("sdk_talk.py"))
EXAMPLE = ASSETS / "nano" / "example.wav"


@pytest.mark.parametrize("protocol", ["live", "realtime", "moshi"])
def test_a_recording_talks(served, tmp_path, protocol):
    reply, report = tmp_path / "reply.wav", tmp_path / "talk.json"
    command = [
        sys.executable, TALK, f"--url=http://127.0.0.1:{served.port}",
        f"--protocol={protocol}", f"--input={EXAMPLE}", "--seconds=5",
        f"--output={reply}", f"--report={report}",
    ]  # fmt: skip
    env = os.environ | {"INTERACTION_KEY": served.key}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["errors"] == [] and found["words"]["text"]
    for name in ("sound", "words"):
        what = found[name]
        assert 0 < what["while_sending"] < what["deltas"]
        assert what["first_s"] < 5 < what["last_s"]
    sent = [event["sent_s"] for event in found["events"]]
    assert sent == sorted(sent) and sent[0] < 5 == sent[-1]
    info = soundfile.info(reply)
    assert info.samplerate == 24_000
    assert info.duration >= found["sound"]["seconds"] > 1
    assert f"{found['sound']['deltas']} deltas" in done.stdout


def test_no_server_is_one_line():
    command = [sys.executable, TALK, "--url=http://127.0.0.1:9", f"--input={EXAMPLE}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "start the server" in done.stderr
