"""Traces of steps: those named at the start, those asked for while a run is under way."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import pytest

from interaction.errors import InputError
from interaction.train import profile
from interaction.train.profile import STEPS, Profile


def traced(tracer: Profile, workdir: Path, last: int) -> list[int]:
    """Steps after which a trace was whole, of a run of so many."""
    found, before = [], 0
    for step in range(1, last + 1):
        tracer.before(step)
        tracer.after(step, jnp.zeros(2) + step)
        now = len(list(workdir.rglob("*.xplane.pb")))
        found += [step] * (now - before)
        before = now
    tracer.close()
    return found


def test_a_run_under_way_is_traced_when_a_file_asks(tmp_path, monkeypatch):
    monkeypatch.setattr(profile, "LOOKS_S", 0.0)
    tracer, asked = Profile(None, tmp_path), tmp_path / "profile"
    assert traced(tracer, tmp_path, 2) == []
    asked.write_text("2\n")
    assert traced(tracer, tmp_path, 4) == [2]
    assert not asked.exists()


@pytest.mark.parametrize("text", ["", "soon\n"])
def test_a_file_without_a_number_asks_for_a_few(tmp_path, capsys, text):
    (tmp_path / "profile").write_text(text)
    assert traced(Profile(None, tmp_path), tmp_path, STEPS + 1) == [STEPS]
    said = capsys.readouterr().out
    assert ("'soon' is no number" in said) == bool(text) and "tensorboard --logdir" in said


def test_the_file_is_looked_for_at_times_only(tmp_path):
    """Not at every step: on a bucket each look is a request."""
    tracer = Profile(None, tmp_path)
    tracer.before(1)
    (tmp_path / "profile").write_text("1")
    assert traced(tracer, tmp_path, 3) == [] and (tmp_path / "profile").exists()


def test_steps_named_at_the_start(tmp_path):
    assert traced(Profile("2:2", tmp_path), tmp_path, 4) == [3]
    for text in ("x", "0", "2:0", "2:x"):
        with pytest.raises(InputError, match="STEP or STEP:N"):
            Profile(text, tmp_path)
