"""IFEval (arXiv 2311.07911; formulas of its Apache-2.0 code): does a response do what
instructions say that a program can check?

Strict: the response as it is. Loose: one of eight, without its first line, its last, both,
or none of them, and each of these without asterisks. As VoiceBench runs it: settings that
are empty or zero are dropped, and an empty response follows nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eval.formulas.ifeval_checks import CHECKS, Unreadable

TAGS = ("<1>", "<2>", "<3>")  # some models begin with one; it is taken off


def untagged(response: str) -> str:
    return response[3:].strip() if response.startswith(TAGS) else response


def loosened(response: str) -> list[str]:
    lines = response.split("\n")
    cut = [
        response,
        "\n".join(lines[1:]).strip(),
        "\n".join(lines[:-1]).strip(),
        "\n".join(lines[1:-1]).strip(),
    ]
    return cut + [text.replace("*", "") for text in cut]


def checks(
    instructions: Sequence[str], settings: Sequence[Mapping[str, Any] | None]
) -> list[Callable[[str], bool]]:
    """A check for each instruction. Raises Unreadable, with the name of what is not
    known or missing."""
    if len(instructions) != len(settings):
        raise Unreadable(f"{len(instructions)} instructions, {len(settings)} settings")
    made = []
    for name, given in zip(instructions, settings, strict=True):
        if name not in CHECKS:
            raise Unreadable(f"no instruction {name!r}")
        made.append(CHECKS[name]({k: v for k, v in (given or {}).items() if v}))
    return made


def followed(
    response: str,
    instructions: Sequence[str],
    settings: Sequence[Mapping[str, Any] | None],
    loose: bool = False,
) -> list[bool]:
    """One for each instruction. Raises Unreadable as `checks`."""
    response = untagged(response)
    tried = [t for t in (loosened(response) if loose else [response]) if t.strip()]
    return [any(map(check, tried)) for check in checks(instructions, settings)]
