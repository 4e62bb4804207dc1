"""What a system is put through: sound, pictures, tools, and the truth about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from interaction.modality.audio import SAMPLE_RATE, TURN_SAMPLES

TURN_S = TURN_SAMPLES / SAMPLE_RATE


class Span(NamedTuple):
    """Words, one or several, and when they sound: seconds of the sample's clock."""

    text: str
    t0: float
    t1: float


class Call(NamedTuple):
    """A tool that a system called. t: end of the turn in which it did, in seconds."""

    t: float
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Tool:
    """A tool that a sample offers. parameters: JSON schema of its arguments; seconds:
    from a call until `answer(arguments)` is given to the system."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    answer: Callable[[Mapping[str, Any]], str]
    seconds: float = 0.0


@dataclass(frozen=True)
class Act:
    """What an ideal system does: from `t` on, a multiple of 0.2 s, it says `text` in place
    of what it was saying ("": it falls silent); or calls a tool in the turn that ends at
    `t`."""

    t: float
    text: str = ""
    call: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Sample:
    """One input with its truth.

    audio: float32 [N] at 16 kHz, N a multiple of 3200: all that the system hears.
    user: what the user says in it, and when.
    frames: (t, uint8 [2, H, W, 3]) pairs of camera frames, in order, t a multiple of 0.2 s;
        may be gone through anew, and read from a file on the way.
    typed: (t, text) that the user types instead of saying it, t a multiple of 0.2 s.
    truth: what the task measures against; JSON.
    ideal: what an ideal system does; for the agent `oracle` alone.
    unknown: fields of a benchmark's data that nothing here reads, "FILE: FIELD".
    """

    id: str
    audio: np.ndarray
    user: tuple[Span, ...] = ()
    frames: Iterable[tuple[float, np.ndarray]] = ()
    typed: tuple[tuple[float, str], ...] = ()
    instructions: str = ""
    tools: tuple[Tool, ...] = ()
    truth: Mapping[str, Any] = field(default_factory=dict)
    ideal: tuple[Act, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def turns(self) -> int:
        return len(self.audio) // TURN_SAMPLES

    def described(self) -> dict[str, Any]:
        """What is stored beside the sound; `frames` and tools' answers are not."""
        about = {
            "id": self.id,
            "seconds": self.turns * TURN_S,
            "user": [list(span) for span in self.user],
            "instructions": self.instructions,
            "tools": [tool.name for tool in self.tools],
            "truth": json.loads(json.dumps(self.truth)),
        }
        about |= {"typed": list(map(list, self.typed))} if self.typed else {}
        return about | ({"unknown": list(self.unknown)} if self.unknown else {})


class Fault(NamedTuple):
    """A sample that could not be read, and why. It is counted, not dropped."""

    id: str
    why: str


def whole_turns(wave: np.ndarray, seconds: float = 0.0) -> np.ndarray:
    """The wave as float32 with silence behind it: up to `seconds` at least, and to the
    end of a turn."""
    n = max(len(wave), round(seconds * SAMPLE_RATE))
    n = -(-n // TURN_SAMPLES) * TURN_SAMPLES
    return np.pad(np.asarray(wave, np.float32), (0, n - len(wave)))
