"""Fire drills of a real run, small, with one program: one that passes, and what a damaged
checkpoint that is not known for one comes to."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from interaction.errors import InputError
from interaction.train import manifest
from launch import drill
from launch.trainer import Trainer

ROOT = Path(__file__).parents[2]
STEPS = 30  # more than are done before it is known that a save is whole
FLAGS = (
    f"--config={ROOT}/tests/tiny.py", "--hosts=1", "--devices=2", "--drills=0",
    "--then=1x2", "--config.model.layers=1", "--config.model.global_layers=(0,)",
    "--config.model.dense_layers=()", "--config.data.workers=0",
    f"--config.train.steps={STEPS}",
)  # fmt: skip


@pytest.fixture
def asked(monkeypatch):
    """asked(*words): arguments and overrides as the command line has them."""

    def ask(*words: str):
        monkeypatch.setattr(sys, "argv", ["drill", *words])
        return drill._arguments()

    return ask


@pytest.fixture(scope="module")
def drilled(tmp_path_factory) -> Iterator[tuple[int, Path]]:
    """-> exit status, the directory that was kept: undisturbed and disturbed runs."""
    scratch = tmp_path_factory.mktemp("drill") / "kept"
    words = [f"--workdir={scratch}", f"--report={scratch}.json"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(sys, "argv", ["drill", *FLAGS, *words])
        yield drill.main(), scratch


def trainer(asked, directory: Path) -> Trainer:
    line, _ = drill.command(*asked(*FLAGS), 1, 2)
    return Trainer(line, directory, 1, 2)


def test_a_killed_run_and_its_copy_go_on_as_the_undisturbed(drilled):
    code, scratch = drilled
    assert code == 0
    found = json.loads(Path(f"{scratch}.json").read_text())
    (killed,), (moved,) = found["drills"], found["moves"]
    assert killed["kind"] == drill.MOVE and killed["at_step"] < STEPS
    assert moved["went_on_at"] and moved["went_on_at"] % drill.SAVE_EVERY == 0
    for what in (moved, found):
        assert what["losses_equal"] and what["rows_once_each"]
    calm = (scratch / "undisturbed" / "losses.jsonl").read_text()
    assert len(calm.splitlines()) == STEPS
    for name in ("disturbed", "on-1x2"):
        assert (scratch / name / "losses.jsonl").read_text() == calm
        assert "resumed at step" in (scratch / f"{name}.log").read_text()


def test_a_damaged_checkpoint_that_is_taken_fails(drilled, asked, tmp_path):
    """Its random key is another, its manifest written anew: every checksum is right."""
    _, scratch = drilled
    damaged, calm = tmp_path / "damaged", trainer(asked, scratch / "undisturbed")
    shutil.copytree(calm.workdir, damaged)
    numbers = sorted(int(p.name) for p in (damaged / "checkpoints").glob("[0-9]*"))
    for number in numbers[1:]:
        shutil.rmtree(damaged / "checkpoints" / str(number))
    directory = damaged / "checkpoints" / str(numbers[0])
    (path,) = (
        p for p in directory.rglob("*") if p.is_file() and b"next_row" in p.read_bytes()
    )
    position = json.loads(path.read_text())
    position["key"][-1] ^= 1
    path.write_text(json.dumps(position))
    for part in directory.glob("manifest-*"):
        part.unlink()
    manifest.write(directory, 0, 1)

    copy = trainer(asked, tmp_path / "on-1x2")
    moved = drill.move(trainer(asked, damaged), calm, copy, steps=STEPS, batch=2)
    assert moved["went_on_at"] == numbers[0] and moved["rows_once_each"]
    assert not moved["losses_equal"] and moved["first_difference"] == numbers[0] + 1
    good = {"losses_equal": True, "rows_once_each": True, "fault": ""}
    assert drill.status([], [moved], good) == 1
    assert drill.status([], [], good) == 0
    assert drill.status([drill.Result("kill", fault="lost")], [], good) == 1


def test_one_batch_fits_all_forms(asked):
    args, overrides = asked("--config=tests/tiny.py", "--hosts=2", "--then=1x8,4x1")
    commands = [drill.command(args, overrides, h, d) for h, d in [(2, 4), *args.then]]
    shards = {(c.train.batch, c.train.batch_shards) for _, c in commands}
    assert shards == {(8, 8)}
    meshes = [(c.train.mesh.data, c.train.mesh.fsdp) for _, c in commands]
    assert meshes == [(2, 4), (1, 8), (4, 1)]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--then=1x8,4",), "HOSTSxDEVICES"),
        (("--then=0x8",), "from 1 on"),
        (("--drills=0",), "start at 1"),
        (("--then=1x8", "--config.train.mesh.expert=2"), "drop --config.train.mesh"),
    ],
)
def test_refusals(monkeypatch, words, says):
    monkeypatch.setattr(sys, "argv", ["drill", "--config=tests/tiny.py", *words])
    with pytest.raises(InputError, match=says):
        drill.main()
