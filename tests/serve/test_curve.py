"""The cost of ticks by number and age: every point is measured and drawn."""

from __future__ import annotations

import json

import pytest

from interaction.errors import InputError
from interaction.serve import curve


def test_every_point_is_measured(tiny_package, tmp_path, monkeypatch, capsys):
    report, plot = tmp_path / "curve.json", tmp_path / "curve.png"
    monkeypatch.setattr(curve, "MINUTE", 4)
    monkeypatch.setattr(
        "sys.argv",
        ["curve", f"--checkpoint={tiny_package}", "--sessions", "1", "3", "--minutes", "1",
         "2", "--ticks=2", "--rounds=2", f"--report={report}", f"--plot={plot}"],
    )  # fmt: skip
    assert curve.main() == 0
    points = json.loads(report.read_text())["points"]
    assert [(p["sessions"], p["minutes"]) for p in points] == [
        (1, 1),
        (1, 2),
        (3, 1),
        (3, 2),
    ]
    assert all(0 < p["tick_ms"]["p50"] <= p["tick_ms"]["max"] for p in points)
    assert plot.stat().st_size > 1_000
    assert capsys.readouterr().out.count("conversations of") == 4


def test_none_is_refused(monkeypatch):
    monkeypatch.setattr("sys.argv", ["curve", "--checkpoint=nano", "--sessions", "0"])
    with pytest.raises(InputError, match="--sessions"):
        curve.main()
