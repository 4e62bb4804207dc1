"""The common head of reports, and files that appear all or not at all."""

import dataclasses
import json

import numpy as np
import pytest

from interaction import report
from interaction.errors import InputError
from interaction.staged import Staged


@dataclasses.dataclass(frozen=True)
class Config:
    width: int = 4
    rates: tuple = (1, 2)


def test_header_is_plain_json(tmp_path):
    head = report.header("test/1", {"model": Config(), "path": tmp_path})
    assert list(head) == ["schema", "config", "git", "hardware"]
    assert head["config"]["model"] == {"width": 4, "rates": [1, 2]}
    assert head["hardware"]["cores"] >= 1 and head["hardware"]["memory_bytes"] > 1e8
    path = tmp_path / "r.json"
    report.write_report(path, head | {"x_ms": np.float32(0.5)})
    assert json.loads(path.read_text())["x_ms"] == 0.5
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]


def test_nan_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(ValueError):
        report.write_report(tmp_path / "r.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_percentiles():
    assert report.percentiles(range(101)) == {"p50": 50.0, "p99": 99.0, "max": 100.0}
    assert report.percentiles([]) == {"p50": None, "p99": None, "max": None}


def test_staged_files_appear_together(tmp_path):
    a, b = tmp_path / "new" / "a.txt", tmp_path / "b.txt"
    with Staged() as staged:
        staged.path(a).write_text("a")
        staged.path(b).write_text("b")
        assert not a.exists() and not b.exists()
    assert a.read_text() + b.read_text() == "ab"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.txt", "new"]


def test_staged_files_vanish_on_an_error(tmp_path):
    old = tmp_path / "b.txt"
    old.write_text("old")
    with pytest.raises(KeyError), Staged() as staged:
        staged.path(tmp_path / "x" / "y" / "a.txt").write_text("a")
        staged.path(old).write_text("new")
        raise KeyError
    assert [p.name for p in tmp_path.iterdir()] == ["b.txt"]
    assert old.read_text() == "old"


def test_one_name_for_two_outputs(tmp_path):
    with pytest.raises(InputError, match="share"), Staged() as staged:
        staged.path(tmp_path / "a.txt")
        staged.path(tmp_path / "a.txt")
    assert not list(tmp_path.iterdir())
