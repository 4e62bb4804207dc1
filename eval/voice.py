"""A voice for agents that only speak by script, and their arguments."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from eval.agent import SILENCE, Said
from eval.sample import TURN_S
from interaction.data.espeak import agent_speech
from interaction.errors import InputError
from interaction.modality.audio import TURN_SAMPLES


def no_arguments(agent: str, arguments: Mapping[str, str]) -> None:
    if arguments:
        raise InputError(f"--agent_args: {agent} takes none")


class Mouth:
    """Says what it is given, from the next turn on, word by word."""

    def __init__(self) -> None:
        self._wave = np.zeros(0, np.float32)
        self._words: list[tuple[float, str]] = []  # seconds from the next turn's start

    @property
    def busy(self) -> bool:
        return bool(len(self._wave))

    def say(self, text: str) -> None:
        """In place of what it had still to say."""
        spoken = agent_speech(text.split())
        self._wave = spoken.wave
        self._words = [(word.t0, word.text) for word in spoken.words]

    def stop(self) -> None:
        self._wave, self._words = self._wave[:0], []

    def turn(self) -> Said:
        """The next 200 ms."""
        if not len(self._wave):
            return Said()
        now, self._wave = self._wave[:TURN_SAMPLES], self._wave[TURN_SAMPLES:]
        text = "".join(f" {w}" for t, w in self._words if t < TURN_S)
        self._words = [(t - TURN_S, w) for t, w in self._words if t >= TURN_S]
        return Said(np.concatenate([now, SILENCE[len(now) :]]), text)
