"""Talks from its first turn to its last, whatever it hears. Calibration."""

from __future__ import annotations

from collections.abc import Mapping

from eval.agent import Heard, Said, Solo
from eval.sample import Sample
from eval.voice import Mouth, no_arguments

TEXT = "red blue green"


class _Talker:
    def __init__(self, sample: Sample) -> None:
        self._mouth = Mouth()

    def step(self, heard: Heard) -> Said:
        if not self._mouth.busy:
            self._mouth.say(TEXT)
        return self._mouth.turn()

    def close(self) -> None:
        pass


def open(arguments: Mapping[str, str]) -> Solo:
    no_arguments("always_talk", arguments)
    return Solo("always_talk", _Talker, slots=16)
