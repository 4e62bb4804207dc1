"""The truth of a synthetic sample, in place of a model: what a perfect judge replies.

    --judge=oracle

The last line of a synthetic task's question is JSON, {"accepted": [...], "said": ...}; the
reply is yes where `said` is one of the accepted, without case and punctuation, else no. To
any other question there is no reply, which is a failure.
"""

from __future__ import annotations

import json
from pathlib import Path

from eval.utterances import plain
from interaction.errors import InputError


class Oracle:
    """failures: questions that do not carry their answer."""

    name = "oracle"

    def __init__(self) -> None:
        self.failures = 0
        self.official: Path | None = None

    def ask(self, prompt: str, n: int = 1, **settings: object) -> list[str] | None:
        try:
            told = json.loads(prompt.rpartition("\n")[2])
            right = plain(told["said"]) in [plain(text) for text in told["accepted"]]
        except (ValueError, KeyError, TypeError, AttributeError):
            self.failures += 1
            return None
        return ["Yes" if right else "No"] * n

    def misread(self) -> None:
        raise AssertionError("it replies yes or no")


def open(rest: str) -> Oracle:
    if rest:
        raise InputError("--judge=oracle takes nothing behind a colon")
    return Oracle()
