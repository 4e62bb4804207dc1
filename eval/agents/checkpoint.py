"""A checkpoint of ours, in this process, in lockstep.

--agent=checkpoint --agent_args=name=nano,slots=16,temperature=0
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

from eval.agent import SILENCE, Heard, Said
from eval.sample import Sample
from interaction.errors import InputError
from interaction.session import Session

QUIET = Heard(SILENCE)


class Checkpoint:
    """A sample's noise is its own: it says the same in any company."""

    paced = False

    def __init__(self, name: str, slots: int, temperature: float) -> None:
        self.name = f"checkpoint(name={name},temperature={temperature:g})"
        self.slots = slots
        self._session = Session.open(name, slots=max(slots, 2), temperature=temperature)

    def open(self, samples: Sequence[Sample]) -> _Talks:
        seeds = [zlib.crc32(sample.id.encode()) >> 1 for sample in samples]
        self._session.reset(seeds + [0] * (self._session.slots - len(seeds)))
        return _Talks(self._session)


class _Talks:
    def __init__(self, session: Session) -> None:
        self._session = session

    def step(self, heard: Sequence[Heard]) -> list[Said]:
        every = [*heard, *[QUIET] * (self._session.slots - len(heard))]
        out = self._session.step(
            audio=[h.audio for h in every],
            frames=[h.frames for h in every],
            text=[h.text for h in every],
        )
        return [
            Said(o.audio, o.text, cleared=o.cleared, compute_ms=o.compute_ms)
            for o in out[: len(heard)]
        ]

    def close(self) -> None:
        pass


def open(arguments: Mapping[str, str]) -> Checkpoint:
    try:
        name = arguments.get("name", "nano")
        slots = int(arguments.get("slots", "16"))
        temperature = float(arguments.get("temperature", "0"))
    except ValueError as error:
        raise InputError(f"--agent_args: {error}") from None
    if set(arguments) - {"name", "slots", "temperature"} or slots < 1:
        raise InputError(
            "--agent_args: checkpoint takes name, slots (1 or more), temperature"
        )
    return Checkpoint(name, slots, temperature)
