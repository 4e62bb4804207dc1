"""What is no directory is refused, under every spelling that a path gives it."""

from __future__ import annotations

from pathlib import Path

import pytest

from interaction.directory import directory
from interaction.errors import InputError
from interaction.train.export import export


@pytest.mark.parametrize("text", ["gs://bucket/run", "gs:/bucket/run", "s3://bucket/run"])
def test_an_address_is_no_directory(text):
    with pytest.raises(InputError, match="://bucket/run: is no directory.*/gcs/bucket/run"):
        directory("--workdir", Path(text))


@pytest.mark.parametrize("text", ["runs/nano", "/gcs/bucket/run", "a:b/c", "C:/x"])
def test_a_path_is_one(text):
    assert directory("--workdir", Path(text)) == Path(text)


def test_nothing_is_exported_to_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="--output=gs://b/model"):
        export(tmp_path, Path("gs://b/model"))
    assert not list(tmp_path.iterdir())
