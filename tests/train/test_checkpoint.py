"""Only whole checkpoints are taken; others are refused by name."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from interaction.errors import InputError
from interaction.train import manifest
from interaction.train.checkpoint import Checkpoints


def state(step: int) -> dict:
    return {"step": jnp.int32(step), "params": {"w": jnp.arange(5000.0) + step}}


def save(workdir: Path, *steps: int) -> None:
    checkpoints = Checkpoints(workdir)
    for step in steps:
        checkpoints.save(step, state(step), {"next_row": 8 * step})
    checkpoints.close()


def numbers(directory: Path) -> list[int]:
    return sorted(int(p.name) for p in directory.iterdir())


@pytest.fixture
def saved(tmp_path) -> Path:
    save(tmp_path, 2, 4, 6)
    return tmp_path


def big_file(directory: Path) -> Path:
    """The arrays' own."""
    return max(
        (p for p in directory.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
    )


def test_the_newest_of_two_is_restored(saved):
    assert numbers(saved / "checkpoints") == [4, 6]
    checkpoints = Checkpoints(saved)
    assert checkpoints.newest_whole() == 6
    assert checkpoints.restore_position(6) == {"next_row": 48}
    out = checkpoints.restore_state(6, jax.eval_shape(lambda: state(0)))
    assert int(out["step"]) == 6
    np.testing.assert_array_equal(out["params"]["w"], state(6)["params"]["w"])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (flip, "has another checksum"),
        (Path.unlink, "is missing"),
        (lambda path: path.write_bytes(b""), "has 0 bytes"),
    ],
)
def test_a_damaged_one_is_refused_by_name(saved, capsys, harm, words):
    path = big_file(saved / "checkpoints" / "6")
    harm(path)
    assert Checkpoints(saved).newest_whole() == 4
    name = path.relative_to(saved / "checkpoints" / "6")
    assert f"checkpoint 6 refused: {name} {words}" in capsys.readouterr().err
    assert numbers(saved / "refused") == [6]
    save(saved, 6)  # the run gets there again
    assert Checkpoints(saved).newest_whole() == 6


def test_a_damaged_manifest_is_refused(saved, capsys):
    path = saved / "checkpoints" / "6" / "manifest-0-of-1.json"
    for at in range(0, len(path.read_bytes()), 97):
        data = bytearray(path.read_bytes())
        data[at] ^= 64  # always changes more than white space
        (saved / "checkpoints" / "6" / path.name).write_bytes(data)
        assert manifest.faults(saved / "checkpoints" / "6")
        data[at] ^= 64
        path.write_bytes(data)
    assert not manifest.faults(saved / "checkpoints" / "6")


def test_none_whole_is_an_error_and_moves_nothing(saved):
    for step in (4, 6):
        flip(big_file(saved / "checkpoints" / str(step)))
    with pytest.raises(InputError, match="no checkpoint in .* is whole"):
        Checkpoints(saved).newest_whole()
    assert numbers(saved / "checkpoints") == [4, 6]


def test_a_save_that_was_cut_off_does_not_count(saved, capsys):
    (saved / "checkpoints" / "6" / "manifest-0-of-1.json").unlink()
    (saved / "checkpoints" / "8.orbax-checkpoint-tmp").mkdir()
    assert Checkpoints(saved).newest_whole() == 4
    assert "checkpoint 6 refused: its save was cut off" in capsys.readouterr().err
    assert numbers(saved / "checkpoints") == [4]


def test_a_first_save_cut_off_begins_anew(tmp_path):
    save(tmp_path, 2)
    (tmp_path / "checkpoints" / "2" / "manifest-0-of-1.json").unlink()
    assert Checkpoints(tmp_path).newest_whole() is None
    assert Checkpoints(tmp_path / "nothing").newest_whole() is None


def test_hosts_share_a_manifest(tmp_path):
    for i in range(7):
        (tmp_path / f"f{i}").write_bytes(bytes(i * 1000))
    manifest.write(tmp_path, 0, 2)
    assert not manifest.is_finished(tmp_path)
    manifest.write(tmp_path, 1, 2)
    assert manifest.is_finished(tmp_path)
    flip(tmp_path / "f3")
    for parts in (1, 2, 3):  # read by any number
        found = [manifest.faults(tmp_path, part, parts) for part in range(parts)]
        assert [f for part in found for f in part] == ["f3 has another checksum"]
