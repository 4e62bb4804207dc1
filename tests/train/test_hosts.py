"""A run on several hosts, killed, ended and moved to others: nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interaction.train import manifest
from interaction.train.feed import fed, places, spans
from launch import local

ROOT = Path(__file__).parents[2]
TRAIN = [sys.executable, "-m", "interaction.train", f"--config={ROOT}/tests/tiny.py"]
SMALL = (
    "--config.model.layers=1",
    "--config.model.global_layers=(0,)",
    "--config.model.dense_layers=()",
    "--config.train.batch=8",
    "--config.train.batch_shards=8",
    "--config.train.save_every=2",
    "--config.train.log_every=1",
)
LAST = 12


@contextmanager
def hosts(workdir: Path, number: int, devices: int, *extra: str) -> Iterator[list]:
    mesh = (f"--config.train.mesh.data={number}", f"--config.train.mesh.fsdp={devices}")
    command = [*TRAIN, "--distributed", f"--workdir={workdir}", *SMALL, *mesh, *extra]
    with workdir.with_suffix(".log").open("w") as log:
        processes = local.start(command, number, devices, log.fileno())
    try:
        yield processes
    finally:
        local.end(processes)


def said(workdir: Path) -> str:
    return workdir.with_suffix(".log").read_text()


def steps(workdir: Path) -> int:
    path = workdir / "losses.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def whole(workdir: Path) -> list[int]:
    found = (workdir / "checkpoints").glob("[0-9]*")
    return sorted(int(p.name) for p in found if manifest.is_finished(p))


def until(happened: Callable[[], object], workdir: Path, processes: list) -> None:
    end = time.monotonic() + 500
    while not happened():
        assert all(p.poll() is None for p in processes), said(workdir)
        assert time.monotonic() < end, "the run did not get there"
        time.sleep(0.02)


def test_two_hosts_then_one_lose_nothing(tmp_path, monkeypatch):
    """kill -9 of one host of two; both again, and SIGTERM to one; a byte of the newest
    checkpoint flipped; then one host with all devices. (`launch.drill` does more.) What
    goes on finds its program where the first start left it."""
    programs = tmp_path / "programs"
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(programs))
    calm, run = tmp_path / "calm", tmp_path / "run"
    with hosts(calm, 1, 4, f"--stop_at={LAST}") as processes:
        assert local.wait(processes) == 0, said(calm)

    with hosts(run, 2, 2) as processes:
        until(lambda: whole(run) and steps(run) > 2, run, processes)
        os.killpg(processes[1].pid, signal.SIGKILL)
        assert local.wait(processes, grace_s=1.0) == 128 + signal.SIGKILL
    assert whole(run)
    first = (run / "rows" / "host-1-of-2.jsonl").read_text().splitlines()[0]
    assert first == '{"step": 1, "rows": [[4, 7]]}'

    newest = whole(run)[-1]
    with hosts(run, 2, 2) as processes:
        until(lambda: f"step {newest + 1}/" in said(run), run, processes)
        assert f"resumed at step {newest}" in said(run)
        processes[1].terminate()
        assert local.wait(processes) == 0, said(run)
    newest = whole(run)[-1]
    assert newest == steps(run) < LAST

    directory = run / "checkpoints" / str(newest)
    path = max((p for p in directory.rglob("*") if p.is_file()), key=os.path.getsize)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    before = whole(run)[-2]
    with hosts(run, 1, 4, f"--stop_at={LAST}") as processes:
        assert local.wait(processes) == 0, said(run)
    refused = f"checkpoint {newest} refused: {path.relative_to(directory)} has another"
    assert refused in said(run) and f"resumed at step {before}" in said(run)

    text = (calm / "losses.jsonl").read_text()
    assert len(text.splitlines()) == LAST
    assert (run / "losses.jsonl").read_text() == text
    rows = {step: list(range(8 * step - 8, 8 * step)) for step in range(1, LAST + 1)}
    assert fed(run) == rows == fed(calm)
    assert len(list(programs.glob("jit_train_step-*-cache"))) == 2  # 1 x 4 and 2 x 2


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"JAX_PROCESS_ID": "0"}, "JAX_COORDINATOR_ADDRESS"),
        (
            {
                "JAX_COORDINATOR_ADDRESS": "localhost:1",
                "JAX_NUM_PROCESSES": "two",
                "JAX_PROCESS_ID": "0",
            },
            "two",
        ),
        ({}, "coordinator_address"),
    ],
)
def test_hosts_that_cannot_meet_say_so_in_one_line(tmp_path, variables, words):
    done = subprocess.run(
        [*TRAIN, "--distributed", f"--workdir={tmp_path / 'run'}"],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 2
    (line,) = [x for x in done.stderr.splitlines() if x.startswith("error:")]
    assert "--distributed" in line and words in line
    assert not (tmp_path / "run").exists()


def test_places_and_spans():
    assert places(None, 4) == (0, 1, 2, 3)
    assert spans([0, 1, 2, 5, 7, 8]) == [[0, 2], [5, 5], [7, 8]]
    assert spans([]) == []


def test_a_row_that_is_fed_twice_stands_there_twice(tmp_path):
    """In one step, by two hosts or by one; where hosts share their rows, once for all."""
    logs = {
        "host-0-of-2": ['{"step": 1, "rows": [[0, 3]]}', '{"step": 2, "rows": [[8, 11]]}'],
        "host-1-of-2": ['{"step": 1, "rows": [[3, 7]]}', '{"step": 2, "rows": [[12, 15]]}'],
        "host-0-of-1": ['{"step": 3, "rows": [[16, 17], [17, 18]]}'],
        "host-0-of-4": ['{"step": 4, "rows": [[24, 25]], "shared_by": 2}'],
        "host-1-of-4": ['{"step": 4, "rows": [[24, 25]], "shared_by": 2}'],
        "host-2-of-4": ['{"step": 4, "rows": [[25, 26]], "shared_by": 2}'],
        "host-3-of-4": ['{"step": 4, "rows": [[25, 26]], "shared_by": 2}'],
    }
    (tmp_path / "rows").mkdir()
    for name, lines in logs.items():
        (tmp_path / "rows" / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    assert fed(tmp_path) == {
        1: [0, 1, 2, 3, 3, 4, 5, 6, 7],
        2: list(range(8, 16)),
        3: [16, 17, 17, 18],
        4: [24, 25, 25, 26],
    }
