"""No judge: whatever needs one stays without a value."""

from __future__ import annotations

from pathlib import Path

from interaction.errors import InputError


class NoJudge:
    name = "none"
    failures = 0
    official: Path | None = None

    def ask(self, prompt: str, **settings: object) -> None:
        return None

    def misread(self) -> None:
        raise AssertionError("nothing was said that could be misread")


def open(rest: str) -> NoJudge:
    if rest:
        raise InputError("--judge=none takes nothing behind a colon")
    return NoJudge()
