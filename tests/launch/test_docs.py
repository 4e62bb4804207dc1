"""The commands on the pages can be rendered as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from launch.__main__ import USAGE

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "launch").rglob("*.md"))]


def commands(text: str) -> list[list[str]]:
    """`python -m launch render …` with its continued lines, as words after `launch`."""
    found = re.findall(r"^ *python -m launch ((?:.*\\\n)*.*)", text, re.MULTILINE)
    lines = [line.replace("\\\n", " ") for line in found]
    return [shlex.split(line) for line in lines if " -- " in line and "…" not in line]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_commands_render(launch, page):
    found = commands(page.read_text())
    assert found
    for words in found:
        said = launch("render", *words[1:])
        assert said.code == 0 and said.out, (words, said.err)


def test_help_is_right(launch):
    found = commands(USAGE)
    assert len(found) == 4
    for words in found:
        assert launch("render", *words[1:]).code == 0, words


@pytest.mark.parametrize("target", ["gke", "queued-resource", "slurm", "local"])
def test_help_of_a_target_has_an_example(launch, target):
    said = launch("render", f"--target={target}", "--help")
    assert said.code == 0
    (words,) = commands(said.out)
    assert f"--target={target}" in words
