"""Bad steps: stop with the rows' numbers, or leave the state as it was and go on."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from interaction.errors import InputError
from interaction.package import open_package
from interaction.params import flatten
from interaction.settings import load
from interaction.train import average
from interaction.train.export import export
from interaction.train.guard import Guard, Rules, rules
from interaction.train.loop import train

TINY = Path(__file__).parents[1] / "tiny.py"
SMALL = ("model.layers=1", "model.global_layers=(0,)", "model.dense_layers=()",
         "model.numerics=fast", "data.workers=0", "train.log_every=1")  # fmt: skip
SPIKES = Rules(on_bad_step="skip", bad_steps=2, spike=2.0, spike_window=3)


def config(*extra: str) -> ConfigDict:
    return load(TINY, [f"--config.{item}" for item in (*SMALL, *extra)])


def judge(guard: Guard, losses: list[float], first: int = 1) -> list[bool]:
    """Whether each step was skipped."""
    found = []
    for step, loss in enumerate(losses, first):
        rows = f"{step}..{step}"
        found.append(guard.judge(step, bool(np.isfinite(loss)), loss, rows) is not None)
    return found


def test_a_spike_is_above_the_median_of_the_last():
    guard = Guard(SPIKES)
    losses = [3.0, 9.0, 4.0, 99.0, 8.1, 17.0, 4.0]
    # Limits: none for four steps (a loss is known two steps later), 2 x 4, 2 x 9, 2 x 9.
    assert judge(guard, losses) == [False] * 4 + [True, False, False]


def test_a_resumed_run_judges_alike():
    losses = [3.0, 3.1, 2.9, 3.0, 3.0, 7.0, 3.2, float("nan"), 3.0, 8.0, 3.0, 3.1]
    whole = judge(Guard(SPIKES), losses)
    assert whole == [False] * 5 + [True, False, True, False, True, False, False]
    for cut in range(1, len(losses)):
        guard = Guard(SPIKES)
        first = judge(guard, losses[:cut])
        memory = json.loads(json.dumps(guard.memory))
        assert first + judge(Guard(SPIKES, memory), losses[cut:], cut + 1) == whole


def test_too_many_in_a_row_stop():
    guard = Guard(SPIKES)
    assert judge(guard, [float("nan")] * 2) == [True, True]
    with pytest.raises(FloatingPointError, match="3 bad steps in a row"):
        judge(guard, [float("inf")], first=3)


def test_stop_names_the_rows():
    with pytest.raises(FloatingPointError, match=r"not finite at step 5, rows 32\.\.39"):
        Guard(Rules()).judge(5, False, float("nan"), "32..39")


@pytest.mark.parametrize(
    "bad", [{"on_bad_step": "go"}, {"spike": 0.5}, {"bad_steps": -1}, {"spike_window": 0}]
)
def test_wrong_rules(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        rules(ConfigDict(bad))
    with pytest.raises(InputError, match="train.ema"):
        average.decay(ConfigDict({"ema": 1.0}))


def lines(workdir: Path) -> list[dict]:
    return [json.loads(x) for x in (workdir / "losses.jsonl").read_text().splitlines()]


def test_skipped_steps_change_nothing_and_the_average_goes_on(tmp_path):
    """A rate so small that about every second loss is above the one before the last; a
    resumed run stops or skips alike."""
    rough = config(
        "train.learning_rate=1e-4", "train.warmup=1", "train.on_bad_step=skip",
        "train.spike=1.001", "train.spike_window=1", "train.ema=0.9", "train.save_every=1",
    )  # fmt: skip
    train(rough, tmp_path / "whole", stop_at=7)
    found = lines(tmp_path / "whole")
    skipped = [line["step"] for line in found if "skipped" in line]
    assert 0 < len(skipped) < 6 and "loss" in found[skipped[0] - 1]["skipped"]
    at = next(s for s in skipped if s > 2)
    assert found[at - 1]["rows"] == f"{2 * at - 2}..{2 * at - 1}"

    before = train(rough, tmp_path / "parts", stop_at=at - 1)
    export(tmp_path / "parts", tmp_path / "model")
    first = flatten(open_package(tmp_path / "model").params)
    with rough.unlocked():
        rough.train.on_bad_step = "stop"
    with pytest.raises(FloatingPointError, match=rf"step {at}, rows {2 * at - 2}\.\."):
        train(rough, tmp_path / "parts", stop_at=7)
    with rough.unlocked():
        rough.train.on_bad_step = "skip"
    after = train(rough, tmp_path / "parts", stop_at=at)
    same = jax.tree.map(lambda a, b: bool((a == b).all()), before.params, after.params)
    assert all(jax.tree.leaves(same))
    assert lines(tmp_path / "parts") == found[:at]

    export(tmp_path / "parts", tmp_path / "model")
    second = flatten(open_package(tmp_path / "model").params)
    last = flatten(jax.device_get(after.params))
    for name, value in second.items():
        want = 0.9 * first[name] + 0.1 * last[name]
        np.testing.assert_allclose(value, want, rtol=1e-5, atol=1e-6)
    assert any((second[name] != last[name]).any() for name in last)
