"""Many live conversations on fixed slots: admitted, advanced together, moved, ended.

    engine = Engine(open_package("nano"), slots=16)
    seat = engine.admit(seed=7)
    outputs = engine.tick({seat: seat.talk.check(audio)})     # every 200 ms
    elsewhere.resume(engine.snapshot(seat))

One program advances all slots, whoever is in them; who comes and goes changes arrays, not
programs. With a config of invariant numerics a conversation has the same bits alone and
among others, in any slot, before and after a move. Nothing here knows of clocks or
networks: time is the number of ticks.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import numpy as np

from interaction.blocks import TurnInput
from interaction.conversation import Conversation, Looked, Output, row
from interaction.errors import InputError
from interaction.grammar import AUDIO_PER_TURN
from interaction.modality.audio import MELS
from interaction.package import Package
from interaction.slots import Slots
from interaction.snapshot import Snapshot, fingerprint

AWAY = TurnInput(np.zeros((AUDIO_PER_TURN, MELS), np.uint8), live=False)


class Full(InputError):
    """No slot is free."""


@dataclass(eq=False)  # a seat is itself: two alike are two
class Seat:
    """A conversation's place. temperature may be changed between ticks."""

    slot: int
    talk: Conversation
    seed: int
    temperature: float


def _raise(seat: Seat, error: Exception) -> None:
    raise error


class Engine:
    """`slots` conversations at most. Compiles everything when it is made."""

    def __init__(
        self, package: Package, slots: int = 16, mesh: jax.sharding.Mesh | None = None
    ) -> None:
        self._device = Slots(package, slots, mesh)
        self._free = list(range(slots))  # a heap
        self._seats: dict[int, Seat] = {}
        self.model = fingerprint(package)
        self.cfg = package.cfg
        self._device.put(0, self._device.take(0))  # compiled here, not beside the living

    @property
    def seats(self) -> list[Seat]:
        """The living, by slot."""
        return [self._seats[slot] for slot in sorted(self._seats)]

    @property
    def slots(self) -> int:
        return self._device.count

    @property
    def positions(self) -> int:
        """Of the cache, in use by the living."""
        return sum(min(int(self._device.written[k]), self.holds) for k in self._seats)

    @property
    def holds(self) -> int:
        """Positions that a slot's cache holds; older ones make room."""
        return self.cfg.pinned + self.cfg.horizon

    def admit(self, seed: int = 0, temperature: float = 0.0) -> Seat:
        """A new conversation, from the next tick on. Raises Full."""
        seat = self._seat(seed, temperature)
        clear = np.arange(self.slots) == seat.slot
        self._device.begin(clear, np.full(self.slots, seed))
        return seat

    def leave(self, seat: Seat) -> None:
        """End a conversation. One that has ended already may end again."""
        if self._seats.get(seat.slot) is seat:
            del self._seats[seat.slot]
            heapq.heappush(self._free, seat.slot)

    def tick(
        self,
        given: Mapping[Seat, Looked],
        fault: Callable[[Seat, Exception], None] = _raise,
    ) -> dict[Seat, Output]:
        """One micro-turn of the conversations that are given something to hear; others
        wait as they are, and no time passes for them. fault: told of a conversation whose
        own half raised, on the way in or out: it has no output, cannot go on, and the
        others have their turn as ever. What the device raises ends the tick."""
        began = time.perf_counter()
        turns = [AWAY] * self.slots
        temperatures = np.zeros(self.slots, np.float32)
        there = []
        for seat, looked in given.items():
            if self._seats.get(seat.slot) is not seat:
                raise InputError("a conversation that has ended takes no more turns")
            try:
                turns[seat.slot] = seat.talk.take(looked)
            except Exception as error:  # of one conversation
                fault(seat, error)
                continue
            temperatures[seat.slot] = seat.temperature
            there.append(seat)
        if not there:
            return {}
        heard, frame = self._device.advance(turns, temperatures)
        ms = 1e3 * (time.perf_counter() - began)
        outs: dict[Seat, Output] = {}
        for seat in there:
            rows = row(heard, seat.slot), row(frame, seat.slot)
            try:
                outs[seat] = seat.talk.give(*rows, turns[seat.slot], ms)
            except Exception as error:  # of one conversation
                fault(seat, error)
        return outs

    def snapshot(self, seat: Seat) -> Snapshot:
        """All of a conversation between two ticks, on the host. It goes on meanwhile."""
        return Snapshot(
            self.model,
            seat.seed,
            seat.temperature,
            seat.talk.state(),
            self._device.take(seat.slot),
            turns=seat.talk.turn,
        )

    def resume(self, snapshot: Snapshot) -> Seat:
        """Carry on from a snapshot, which may be used any number of times: each is a fork.
        Raises Full, and InputError when it is another model's."""
        if snapshot.model != self.model:
            raise InputError(
                "the snapshot is of another model; open the checkpoint it was taken with"
            )
        seat = self._seat(snapshot.seed, snapshot.temperature)
        seat.talk.restore(snapshot.talk)
        self._device.put(seat.slot, snapshot.row)
        return seat

    def _seat(self, seed: int, temperature: float) -> Seat:
        if not self._free:
            raise Full(f"all {self.slots} slots are taken; try again later")
        slot = heapq.heappop(self._free)
        talk = Conversation(self.cfg, self._device.text)
        self._seats[slot] = Seat(slot, talk, seed, temperature)
        return self._seats[slot]
