"""Questions with a few possible answers, in VoiceBench: figures over what was understood.

Officially, an answer that is not understood is guessed; `right` counts it as wrong.
"""

from __future__ import annotations

from eval.formulas import guess
from eval.task import Metric, Row


def metrics(choices: int) -> dict[str, Metric]:
    return {
        "acc": Metric(
            up=True, official=True, unit="%", of=guess.accuracy(choices),
            about="what is not understood is guessed, with seed 0",
        ),
        "right": Metric(up=True, unit="%", about="what is not understood is wrong"),
        "not_understood": Metric(up=False, unit="%"),
    }  # fmt: skip


def row(given: int | None, wanted: int) -> Row:
    """Both from 0 on; given: None where the answer was not understood."""
    return {
        "given": given,
        "wanted": wanted,
        "right": 100.0 * (given == wanted),
        "not_understood": 100.0 * (given is None),
    }
