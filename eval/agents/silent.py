"""Says nothing, ever. Calibration: what a figure is worth when nothing is done."""

from __future__ import annotations

from collections.abc import Mapping

from eval.agent import Heard, Said, Solo
from eval.sample import Sample
from eval.voice import no_arguments


class _Silent:
    def __init__(self, sample: Sample) -> None:
        pass

    def step(self, heard: Heard) -> Said:
        return Said()

    def close(self) -> None:
        pass


def open(arguments: Mapping[str, str]) -> Solo:
    no_arguments("silent", arguments)
    return Solo("silent", _Silent, slots=16)
