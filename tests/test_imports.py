"""Which parts import which: `train`, `serve` and `eval` never each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = {"eval": "eval", "interaction.serve": "interaction/serve",
         "interaction.train": "interaction/train"}  # fmt: skip


def imported(file: Path) -> Iterator[str]:
    """Modules that a file imports, anywhere in it, and names that it takes from them."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("part", PARTS)
def test_parts_do_not_import_each_other(part):
    others = tuple(f"{other}." for other in PARTS if other != part)
    files = sorted((ROOT / PARTS[part]).rglob("*.py"))
    assert files
    wrong = [(str(file.relative_to(ROOT)), name) for file in files
             for name in imported(file) if f"{name}.".startswith(others)]  # fmt: skip
    assert not wrong


def test_the_library_does_not_import_its_evaluation():
    for file in (ROOT / "interaction").rglob("*.py"):
        assert not [name for name in imported(file) if name.split(".")[0] == "eval"], file
