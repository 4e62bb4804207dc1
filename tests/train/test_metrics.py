"""A save finds files that are closed: a bucket that is mounted has no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from interaction.train import lines
from interaction.train.metrics import STREAMS, Metrics

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
