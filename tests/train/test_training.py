"""Training as its users run it: processes, kills, and bad configs."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest

from interaction import model
from interaction.data.corpora.prepare import Options, prepare
from interaction.data.manifest import write_manifest
from interaction.data.world import dialogue
from interaction.params import initialise

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "tiny.py"
SMALL = ("--config.model.layers=2", "--config.model.global_layers=(1,)")


def start(workdir: Path, *extra: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "interaction.train", f"--config={TINY}"]
    return subprocess.Popen(
        [*command, f"--workdir={workdir}", *SMALL, *extra],
        cwd=ROOT,
        env=os.environ | {"JAX_LOG_COMPILES": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    return output


def losses(workdir: Path) -> list[dict]:
    lines = (workdir / "losses.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def wait_for(process: subprocess.Popen, found, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "the run did not get there"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> tuple[str, list[dict]]:
    """What a run said, and its losses."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    output = finish(start(workdir))
    assert list((workdir / "tensorboard").iterdir())
    return output, losses(workdir)


@pytest.fixture(scope="module")
def undisturbed(calm) -> list[dict]:
    return calm[1]


def programs(output: str) -> int:
    """Of a training step, that were compiled or fetched."""
    return output.count("Finished XLA compilation of jit(train_step)")


def test_the_step_is_compiled_once(calm):
    assert programs(calm[0]) == 1


def test_every_step_is_recorded_and_learns(undisturbed):
    assert [line["step"] for line in undisturbed] == list(range(1, 15))
    assert undisturbed[-1]["loss"] < undisturbed[0]["loss"]


def test_killed_and_restarted_equals_undisturbed(undisturbed, tmp_path):
    """kill -9 between saves: the same losses to the last bit."""
    process = start(tmp_path)
    saved = tmp_path / "checkpoints" / "8"
    wait_for(process, saved.is_dir)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert "resumed at step" in finish(start(tmp_path))
    assert losses(tmp_path) == undisturbed


def test_terminated_saves_and_goes_on(undisturbed, tmp_path):
    """SIGTERM to the whole process group, as schedulers send it: saves, exits 0."""
    process = start(tmp_path)
    log = tmp_path / "losses.jsonl"
    wait_for(process, lambda: log.exists() and log.stat().st_size > 0)
    os.killpg(process.pid, signal.SIGTERM)
    finish(process)
    assert list((tmp_path / "checkpoints").iterdir())
    finish(start(tmp_path))
    assert losses(tmp_path) == undisturbed


def test_starts_from_another_model(undisturbed, tiny, packed, tmp_path):
    cfg = dataclasses.replace(tiny, layers=2, global_layers=(1,))
    given = packed(cfg, initialise(model.specs(cfg), jax.random.key(5)))
    assert programs(finish(start(tmp_path, f"--init={given}", "--stop_at=2"))) == 1
    first, _ = losses(tmp_path)
    assert first["loss"] != undisturbed[0]["loss"]


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--config.train.nonsense=1"], "unknown config key config.train.nonsense"),
        (["--config.train.batch=many"], "config.train.batch=many is not of type int"),
        (["--config.train.batch=0"], "batch, steps, save_every, log_every start at 1"),
        (["--config=configs/inkling_small.py"], "has no data group"),
        (["--config=configs/tml_interaction_small.py"], "GiB on the 512 devices"),
        (["--config.model.heads=3"], "model.heads=3 is not a multiple"),
        (
            ["--workdir=gs://bucket/run"],
            "--workdir=gs://bucket/run: is no directory; mount",
        ),
        (["--config=/no/such.py"], "no config at /no/such.py"),
        (["--config=README.md"], "config README.md is no .py file"),
        (["--init=no-such-model"], "no checkpoint no-such-model"),
        (["--init=nano"], "does not fit config.model"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(tmp_path, extra, words):
    workdir = tmp_path / "run"
    process = start(workdir, *extra)
    try:
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 2
    lines = [line for line in output.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and words in lines[0]
    assert not workdir.exists() and not (ROOT / "gs:").exists()


def test_a_prepared_corpus_takes_the_place_of_the_synthetic_world(undisturbed, tmp_path):
    """Two steps on it: other rows than the world's, so other losses."""
    lengths = (40, 40, 7, 6)  # the short ones share a row
    talks = [dialogue(9, i, turns=n) for i, n in enumerate(lengths)]
    write_manifest(talks, tmp_path / "src")
    prepare(Options("manifest", tmp_path / "src"), tmp_path / "corpus", "test")
    chosen = f"--config.data.corpus={tmp_path / 'corpus'}"
    finish(start(tmp_path / "run", chosen, "--stop_at=2"))
    found = losses(tmp_path / "run")
    assert [line["step"] for line in found] == [1, 2]
    assert found[0]["loss"] != undisturbed[0]["loss"]
    (tmp_path / "corpus" / "index.json").unlink()
    process = start(tmp_path / "bad", chosen)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 2 and "is not prepared to its end" in output
    assert not (tmp_path / "bad").exists()
