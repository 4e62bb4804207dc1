"""A checkpoint of ours, in this process, in lockstep.

--agent=checkpoint --agent_args=name=nano,slots=16,temperature=0
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

from eval.agent import SILENCE, Heard, Said
from eval.sample import Sample
from interaction.background.partner import CANCEL
from interaction.conversation import Output, Words
from interaction.errors import InputError
from interaction.grammar import Kind
from interaction.session import Session

DELEGATE = "delegate"
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
        return _Talks(self._session, samples)


class _Talks:
    def __init__(self, session: Session, samples: Sequence[Sample]) -> None:
        self._session = session
        self._delegates = [DELEGATE in (t.name for t in s.tools) for s in samples]
        self._called_off = [-1.0] * len(samples)  # what was handed over before is dropped

    def step(self, heard: Sequence[Heard]) -> list[Said]:
        every = [*heard, *[QUIET] * (self._session.slots - len(heard))]
        read = [self._reads(slot, h) for slot, h in enumerate(heard)]
        out = self._session.step(
            audio=[h.audio for h in every],
            frames=[h.frames for h in every],
            text=[*read, *[None] * (self._session.slots - len(heard))],
        )
        return [
            Said(o.audio, o.text, self._calls(slot, o), o.cleared, o.compute_ms)
            for slot, o in enumerate(out[: len(heard)])
        ]

    def _reads(self, slot: int, heard: Heard) -> list[Words] | None:
        words = [Words(heard.text)] if heard.text else []
        for result in heard.results:
            if result.text and result.call.t > self._called_off[slot]:
                words.append(Words(result.text, Kind.BACKGROUND))
        return words or None

    def _calls(self, slot: int, out: Output) -> tuple[tuple[str, dict[str, str]], ...]:
        kinds = {event.kind for event in out.events}
        if Kind.DELEGATE.name not in kinds or not self._delegates[slot]:
            return ()
        if out.directive == CANCEL:
            self._called_off[slot] = out.turn_s
        return ((DELEGATE, {"directive": out.directive}),)

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
