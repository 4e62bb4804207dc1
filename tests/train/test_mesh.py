"""A run goes on elsewhere: the same losses to the last bit."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMALL = (
    "--config.model.layers=2",
    "--config.model.global_layers=(1,)",
    "--config.train.batch=8",
    "--config.train.batch_shards=8",
    "--config.train.save_every=4",
    "--config.train.muon=True",
    "--config.model.dtype=bfloat16",  # sums of gradients are float32 all the same
)


def run(workdir: Path, *extra: str) -> str:
    command = [sys.executable, "-m", "interaction.train", "--config=tests/tiny.py"]
    done = subprocess.run(
        [*command, f"--workdir={workdir}", *SMALL, *extra],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_on_eight_devices_from_a_checkpoint_of_one(tmp_path):
    one, eight = tmp_path / "one", tmp_path / "eight"
    run(one, "--stop_at=7")
    shutil.copytree(one, eight)
    shutil.rmtree(eight / "checkpoints" / "7")
    mesh = ("--config.train.mesh.data=2", "--config.train.mesh.fsdp=4")
    assert "resumed at step 4" in run(eight, "--stop_at=7", *mesh)
    text = (one / "losses.jsonl").read_text()
    assert len(text.splitlines()) == 7
    assert (eight / "losses.jsonl").read_text() == text
