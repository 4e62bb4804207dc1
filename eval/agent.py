"""The face of a system under test: 200 ms in, 200 ms out.

An `Agent` opens conversations, several side by side where it can; every turn each of them
hears 200 ms and says 200 ms, which play in the turn after. Whoever answers one
conversation at a time writes a `Talk` and lifts it with `Each`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from eval.sample import Call, Sample
from interaction.modality.audio import TURN_SAMPLES

SILENCE = np.zeros(TURN_SAMPLES, np.float32)
SILENCE.flags.writeable = False


@dataclass(frozen=True)
class Result:
    """What a tool answered to a call of the system's."""

    call: Call
    text: str


@dataclass(frozen=True, eq=False)
class Heard:
    """A turn's input. audio: float32 [3200] at 16 kHz; frames: uint8 [2, H, W, 3], or
    None; text: typed by the user; results: of tools, since the turn before."""

    audio: np.ndarray
    frames: np.ndarray | None = None
    text: str | None = None
    results: tuple[Result, ...] = ()


@dataclass(frozen=True, eq=False)
class Said:
    """A turn's output. audio: float32 [3200] at 16 kHz, played in the next turn; text:
    words whose sound begins with it, with their spaces; calls: (tool, arguments);
    cleared: what was said before is cut off here, if it had not ended; compute_ms: what
    the turn took, None where that is not known."""

    audio: np.ndarray = field(default_factory=lambda: SILENCE)
    text: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    cleared: bool = False
    compute_ms: float | None = None


class Talks(Protocol):
    """Conversations side by side."""

    def step(self, heard: Sequence[Heard]) -> Sequence[Said]:
        """One turn of each."""

    def close(self) -> None: ...


class Agent(Protocol):
    """name: for reports, with its arguments; slots: conversations side by side;
    paced: it lives on a clock of its own, so that turns must come in real time."""

    name: str
    slots: int
    paced: bool

    def open(self, samples: Sequence[Sample]) -> Talks:
        """New conversations, up to `slots`. A system sees instructions and tools of a
        sample before it begins; only calibration agents may look at more."""


class Talk(Protocol):
    """One conversation."""

    def step(self, heard: Heard) -> Said: ...

    def close(self) -> None: ...


class Each:
    """Talks that know nothing of each other, as `Talks`."""

    def __init__(self, talks: Sequence[Talk]) -> None:
        self._talks = talks

    def step(self, heard: Sequence[Heard]) -> list[Said]:
        return [talk.step(h) for talk, h in zip(self._talks, heard, strict=True)]

    def close(self) -> None:
        for talk in self._talks:
            talk.close()


@dataclass(frozen=True)
class Solo:
    """An agent whose conversations are made one by one."""

    name: str
    make: Callable[[Sample], Talk]
    slots: int = 1
    paced: bool = False

    def open(self, samples: Sequence[Sample]) -> Each:
        return Each([self.make(sample) for sample in samples])
