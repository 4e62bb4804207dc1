"""Says back all that it hears, a turn later. Calibration: a system with an open
microphone and no mind."""

from __future__ import annotations

from collections.abc import Mapping

from eval.agent import Heard, Said, Solo
from eval.sample import Sample
from eval.voice import no_arguments


class _Parrot:
    def __init__(self, sample: Sample) -> None:
        pass

    def step(self, heard: Heard) -> Said:
        return Said(heard.audio)

    def close(self) -> None:
        pass


def open(arguments: Mapping[str, str]) -> Solo:
    no_arguments("parrot", arguments)
    return Solo("parrot", _Parrot, slots=16)
