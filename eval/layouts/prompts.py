"""Prompts that an evaluator's checkout of a benchmark holds inside its Python files."""

from __future__ import annotations

import ast
from pathlib import Path

from interaction.errors import InputError


def prompt(file: Path, name: str, **values: object) -> str:
    """The text that `file` assigns to `name`. values: of the names that it fills in; it is
    evaluated with nothing else. Raises InputError where there is none."""
    try:
        tree = ast.parse(file.read_text())
    except (OSError, SyntaxError) as error:
        raise InputError(f"{file}: cannot be read ({error})") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(
            node.value, (ast.Constant, ast.JoinedStr)
        ):
            if any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
                code = compile(ast.Expression(node.value), str(file), "eval")
                try:
                    return str(eval(code, {"__builtins__": {}}, dict(values)))
                except NameError as error:
                    raise InputError(f"{file}: {name} needs more ({error})") from None
    raise InputError(f"{file}: assigns no {name}; is this another version?")
