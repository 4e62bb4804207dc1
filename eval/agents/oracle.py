"""Does what the sample says that an ideal system does. Calibration: that a task can be
won, and that whoever wins it scores what winning is worth."""

from __future__ import annotations

from collections.abc import Mapping

from eval.agent import Heard, Said, Solo
from eval.sample import TURN_S, Sample
from eval.voice import Mouth, no_arguments


class _Oracle:
    def __init__(self, sample: Sample) -> None:
        self._mouth, self._turn = Mouth(), 0
        self._acts = {round(act.t / TURN_S): act for act in sample.ideal if not act.call}
        self._calls = [act for act in sample.ideal if act.call]

    def step(self, heard: Heard) -> Said:
        self._turn += 1
        act = self._acts.get(self._turn)
        if act:
            self._mouth.stop()
        if act and act.text:
            self._mouth.say(act.text)
        now = [c for c in self._calls if round(c.t / TURN_S) == self._turn]
        calls = tuple((c.call, dict(c.arguments)) for c in now)
        said = self._mouth.turn()
        return Said(said.audio, said.text, calls)

    def close(self) -> None:
        pass


def open(arguments: Mapping[str, str]) -> Solo:
    no_arguments("oracle", arguments)
    return Solo("oracle", _Oracle, slots=16)
