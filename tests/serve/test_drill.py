"""A background that goes wrong: everybody is told, and nothing is left behind."""

from __future__ import annotations

import json
import subprocess
import sys


def test_faults_are_told_and_leave_nothing(tiny_package, tmp_path):
    report = tmp_path / "drill.json"
    command = [
        sys.executable, "-m", "interaction.serve.drill", f"--checkpoint={tiny_package}",
        "--sessions=2", "--ticks=12", "--rounds=1", f"--report={report}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=1_200)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert all(n <= found["before"][name] for name, n in found["after"].items())
    told = {name: " ".join(row["told"]) for name, row in found["faults"].items()}
    assert "faulty did not answer" in told["die"] and told["malformed"]
    assert "no answer within" in told["hang"] and "no answer" in told["endless program"]
    assert "too long" in told["huge"] or "no answer" in told["huge"]  # on a busy machine
    assert "connection was lost" in told["cut reply"]
    assert "too much" in told["twenty"] and "done" in told["twenty"]
    assert done.stdout.count(" met ") + done.stdout.count(" missed ") == len(told)
