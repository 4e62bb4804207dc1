"""The benchmark runs end to end and reports what it says; no figure is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from interaction.bench import compared

TINY = Path(__file__).parent / "tiny.py"
SMALL = ("--config.model.layers=2", "--config.model.global_layers=(1,)")


def bench(*args: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "interaction.bench", f"--config={TINY}", *SMALL, *args]
    return subprocess.run(command, capture_output=True, text=True)


def test_report_has_every_part(tmp_path):
    path = tmp_path / "bench.json"
    done = bench("--slots", "1", "2", "--repetitions=2", f"--report={path}")
    assert done.returncode == 0, done.stderr
    report = json.loads(path.read_text())
    assert report["schema"] == "interaction.bench/1"
    assert [turn["slots"] for turn in report["turns"]] == [1, 2]
    for turn in report["turns"]:
        expected = turn["slots"] * 200 / turn["compute_ms"]["p50"]
        assert abs(turn["sessions_in_real_time"] - expected) < 0.1
    assert report["training"]["positions_per_s"] > 0
    assert 0 < report["training"]["share_of_product_rate"] < 1
    assert report["machine"]["product_gflop_per_s"] > 0
    assert "micro-turn, 2 sessions" in done.stdout


def test_numerics_are_compared(tmp_path):
    path = tmp_path / "bench.json"
    done = bench("--numerics", "--slots", "1", "--repetitions=2", f"--report={path}")
    assert done.returncode == 0, done.stderr
    rows = json.loads(path.read_text())["numerics"]
    assert [row["what"] for row in rows] == ["turn 1", "train"]
    for row in rows:
        low, high = map(float, row["half"].split(" to "))
        assert 0 < low <= row["ratio"] <= high


def test_a_ratio_is_of_pairs():
    """Half of the turns speak: medians of each mode would fall on different sides."""
    fast = np.array([10.0, 10.0, 50.0, 50.0, 10.0])
    found = compared(fast, 1.1 * fast + np.array([0, 0, 0, 0, 40.0]))
    assert found["ratio"] == 1.1 and found["invariant_ms"] / found["fast_ms"] > 4


def test_wrong_requests_are_one_line(tmp_path):
    for args in (("--slots", "0"), ("--checkpoint=nano",), ("--config.model.nothing=1",)):
        done = bench(*args)
        assert done.returncode == 2, args
        assert done.stderr.count("\n") == 1, done.stderr
