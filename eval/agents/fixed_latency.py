"""Answers every utterance of the user's, in the first turn that begins `seconds` or more
after its end. Calibration: latencies come out as they went in, rounded up to a turn.

    --agent=fixed_latency --agent_args=seconds=0.6
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from eval.agent import Heard, Said, Solo
from eval.sample import TURN_S, Sample
from eval.voice import Mouth
from interaction.errors import InputError

TEXT = "red blue green red blue green"  # over a second, so that it counts as a turn


def start(end: float, seconds: float) -> float:
    """When the answer to what ended at `end` begins to sound."""
    return math.ceil((end + seconds) / TURN_S - 1e-6) * TURN_S


def delay(agent: str) -> float | None:
    """The seconds of an agent with this name; None for other agents."""
    found = re.fullmatch(r"fixed_latency\(seconds=(.+)\)", agent)
    return float(found[1]) if found else None


class _Late:
    def __init__(self, sample: Sample, seconds: float) -> None:
        self._mouth, self._turn = Mouth(), 0
        self._starts = {round(start(span.t1, seconds) / TURN_S) for span in sample.user}

    def step(self, heard: Heard) -> Said:
        self._turn += 1
        if self._turn in self._starts:
            self._mouth.say(TEXT)
        return self._mouth.turn()

    def close(self) -> None:
        pass


def open(arguments: Mapping[str, str]) -> Solo:
    try:
        seconds = float(arguments.get("seconds", "0.6"))
    except ValueError:
        seconds = -1.0
    if seconds < 0 or set(arguments) - {"seconds"}:
        raise InputError("--agent_args: fixed_latency takes seconds=S, 0 or more")
    return Solo(
        f"fixed_latency(seconds={seconds:g})", lambda s: _Late(s, seconds), slots=16
    )
