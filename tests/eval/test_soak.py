"""A long conversation: what is told of its hours, and going on where it stopped."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from eval import soak
from interaction.errors import InputError


@pytest.fixture
def run(tiny_package, tmp_path, monkeypatch):
    monkeypatch.setattr(soak, "TURNS", 20)

    def run(hours: int, place: str = "soak") -> dict:
        command = ["soak", f"--checkpoint={tiny_package}", f"--hours={hours}",
                   "--dialogues=2", f"--workdir={tmp_path / place}"]  # fmt: skip
        monkeypatch.setattr("sys.argv", command)
        assert soak.main() == 0
        told = json.loads((tmp_path / place / "soak.json").read_text())
        kept = json.loads((tmp_path / place / "hours.json").read_text())
        return told | {"words": [hour["words"] for hour in kept["hours"]]}

    return run


def test_it_goes_on_where_it_stopped(run, tmp_path):
    whole = run(3, "whole")
    assert whole["stream_hours"] == 3 and whole["turns"] == 120
    assert [hour["turns"] for hour in whole["hours"]] == [40, 80, 120]
    assert whole["same_words"][1] == 2 and whole["memory_ratio"] > 0
    assert whole["tick_old_over_new"] > 0
    assert (tmp_path / "whole" / "soak.png").stat().st_size > 1_000
    run(1)
    again = run(3)
    assert again["words"] == whole["words"]
    assert [hour["right"] for hour in again["hours"]] == [
        hour["right"] for hour in whole["hours"]
    ]


def test_an_old_conversation_is_timed_beside_a_new_one(monkeypatch):
    """By the second half of the dialogues: the first begins at once with what is old."""
    took = {"old": iter([90.0, 9.0, 5.0, 4.0]), "new": iter([1.0, 2.0, 2.0, 2.0])}
    order = []

    def play(talk, dialogues, fresh):
        order.append((talk.name, dialogues[0]))
        talk.ms.append(next(took[talk.name]))

    monkeypatch.setattr(soak, "play", play)
    old, new = (SimpleNamespace(name=name, ms=[7.0]) for name in ("old", "new"))
    assert soak.beside(old, new, list("abcd")) == 2.25
    assert order == [(name, said) for said in "abcd" for name in ("new", "old")]


def test_an_hour_that_was_not_kept_is_lived_again(run, tmp_path):
    """Stopped between an hour's figures and its conversation."""
    run(1)
    before = (tmp_path / "soak" / "conversation").read_bytes()
    two = run(2)
    (tmp_path / "soak" / "conversation").write_bytes(before)
    assert run(2)["words"] == two["words"]


def test_no_hours_are_refused(run):
    with pytest.raises(InputError, match="--hours"):
        run(0)
