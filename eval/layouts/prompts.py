"""Prompts that an evaluator's checkout of a benchmark holds inside its Python files."""

from __future__ import annotations

import ast
from pathlib import Path

from interaction.errors import InputError


def prompt(file: Path, name: str, **values: object) -> str:
    """The text that `file` assigns to `name`, or to the "prompt" of it. values: of the
    names that it fills in; it is evaluated with nothing else. Raises InputError where
    there is none."""
    try:
        tree = ast.parse(file.read_text())
    except (OSError, SyntaxError) as error:
        raise InputError(f"{file}: cannot be read ({error})") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and (text := _text(node.value)) is not None:
            if any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
                code = compile(ast.Expression(text), str(file), "eval")
                try:
                    return str(eval(code, {"__builtins__": {}}, dict(values)))
                except NameError as error:
                    raise InputError(f"{file}: {name} needs more ({error})") from None
    raise InputError(f"{file}: assigns no {name}; is this another version?")


def _text(node: ast.expr) -> ast.expr | None:
    """The text in an expression: itself, before `.strip()`, or a dictionary's "prompt"."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _text(node.func.value) if node.func.attr == "strip" else None
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "prompt":
                return _text(value)
        return None
    return node if isinstance(node, (ast.Constant, ast.JoinedStr)) else None


def fenced(file: Path, mark: str) -> str | None:
    """The block between two ``` of a Markdown file that has `mark` in it; None where there
    is no such file or block."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, ValueError):
        return None
    block: list[str] | None = None
    fence = ""
    for line in lines:
        bare = line.strip()
        if block is None:
            if bare.startswith("```"):
                block, fence = [], "`" * (len(bare) - len(bare.lstrip("`")))
        elif bare == fence:
            text = "\n".join(block)
            if mark in text:
                return text
            block = None
        else:
            block.append(line)
    return None
