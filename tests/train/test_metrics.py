"""What TensorBoard and the terminal are told of a step, and that a save finds files that
are closed: a bucket that is mounted has no others."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from interaction.train import lines
from interaction.train.metrics import STREAMS, Metrics
from interaction.train.speed import memory_bytes

NAMES = ("loss", "heard_accuracy", "text_accuracy", *STREAMS)


def opened(directory: Path) -> set[str]:
    """Files below it that this process has open."""
    links = [
        path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()
    ]
    return {path.name for path in links if path.is_relative_to(directory)}


def write(metrics: Metrics, step: int) -> None:
    values: dict = dict.fromkeys(NAMES, float(step)) | {"load": [[1.0, 1.0]]}
    metrics.step(step, values, positions=1, wait_s=0.0)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no list of open files")
def test_a_save_closes_files_and_the_run_goes_on(tmp_path):
    metrics = Metrics(tmp_path, step=0, steps=4, log_every=1)
    write(metrics, 1)
    board = tmp_path / "tensorboard"
    (first,) = board.iterdir()
    assert opened(tmp_path) == {"losses.jsonl", first.name}
    metrics.flush()
    assert first.name not in opened(tmp_path)
    write(metrics, 2)
    metrics.close()
    assert not opened(tmp_path)

    text = (tmp_path / "losses.jsonl").read_text()
    assert [json.loads(line)["step"] for line in text.splitlines()] == [1, 2]
    assert len(list(board.iterdir())) == 2
    seen = EventAccumulator(str(board)).Reload().Scalars("train/loss")
    assert [(event.step, event.value) for event in seen] == [(1, 1.0), (2, 2.0)]


def device(**stats: int) -> SimpleNamespace:
    """What a CPU has: `memory_stats` says nothing there."""
    return SimpleNamespace(memory_stats=lambda: stats or None)


def test_memory_is_that_of_the_fullest_device():
    full = device(bytes_in_use=7, peak_bytes_in_use=9, bytes_limit=10)
    other = device(bytes_in_use=5, peak_bytes_in_use=10, bytes_limit=10)
    assert memory_bytes([full, other]) == {"bytes_in_use": 7, "peak_bytes_in_use": 10}
    assert memory_bytes([device(bytes_in_use=7)]) == {"bytes_in_use": 7}
    assert memory_bytes([device(), device()]) == {}


def test_tensorboard_has_every_number(tmp_path, capsys):
    """Losses by stream, speed, memory, and each layer's router: share of the positions and
    bias, of its experts."""
    held = {"bytes_in_use": 3 << 30, "peak_bytes_in_use": 5 << 30}
    metrics = Metrics(
        tmp_path, step=0, steps=4, log_every=2, flop=6.0, peak=1e6, memory=lambda: held
    )
    losses = {name: float(n) for n, name in enumerate(NAMES, 1)}
    load = np.array([[3.0, 1.0], [2.0, 2.0]], np.float32)  # two layers of two experts
    bias = np.array([[-0.5, 0.5], [0.25, 0.75]], np.float32)
    for step in (1, 2):
        values = losses | {"load": load} | ({"bias": bias} if step == 2 else {})
        metrics.step(step, values, positions=100, wait_s=1e-6)
    metrics.close()

    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    seen = {tag: board.Scalars(tag) for tag in board.Tags()["scalars"]}
    assert all([event.step for event in events] == [2] for events in seen.values())
    found = {tag: events[0].value for tag, events in seen.items()}
    assert {tag: found.pop(f"train/{tag}") for tag in losses} == losses
    rate = found.pop("speed/positions_per_s")
    assert rate > 0 and found.pop("speed/mfu") == pytest.approx(rate * 6.0 / 1e6)
    assert 0 < found.pop("speed/data_wait") < 1
    assert {name: found.pop(f"memory/{name}") for name in held} == held
    routers = {
        "share_layer_0": (0.25, 0.5, 0.75), "share_layer_1": (0.5, 0.5, 0.5),
        "bias_layer_0": (-0.5, 0.0, 0.5), "bias_layer_1": (0.25, 0.5, 0.75),
    }  # fmt: skip
    want = {
        f"router/{name}_{what}": value
        for what, three in routers.items()
        for name, value in zip(("min", "mean", "max"), three, strict=True)
    }
    assert found == want  # and nothing else
    assert set(board.Tags()["histograms"]) == {f"router/{what}" for what in routers}

    (line,) = capsys.readouterr().out.splitlines()
    assert "HBM 5.0 GiB" in line and "MFU" in line and "data wait" in line
    assert all(f"{name} {losses[name]:.3f}" in line for name in STREAMS)


def test_a_platform_that_does_not_say_its_memory(tmp_path, capsys):
    metrics = Metrics(tmp_path, step=0, steps=4, log_every=1, memory=dict)
    write(metrics, 1)
    metrics.close()
    said = capsys.readouterr().out
    assert "step 1/4" in said and "HBM" not in said and "MFU" not in said


def test_lines_are_closed_when_they_are_to_be_on_disk(tmp_path, monkeypatch):
    closed, begin = [], Path.open

    def watched(self, *args, **kwargs):
        file = begin(self, *args, **kwargs)
        closed.append(lambda: file.closed)
        return file

    monkeypatch.setattr(Path, "open", watched)
    log = lines.Lines(tmp_path / "log.jsonl")
    log.add(1, {})
    log.flush()
    assert [is_closed() for is_closed in closed] == [False]
    log.flush(to_disk=True)
    assert [is_closed() for is_closed in closed] == [True, False]
    log.add(2, {})
    log.close()
    monkeypatch.undo()
    assert (tmp_path / "log.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n'
