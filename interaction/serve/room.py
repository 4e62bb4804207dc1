"""The clock: every 200 ms, all conversations take a turn, whoever's sound has come.

One thread owns the engine. A client's side (`Guest`) puts sound, pictures and words where
the next turn finds them, and is given each turn's output in that thread; it must not block.

By rule, not by growing lag: a tick that ran long is followed by the next at once; a clock
that is more than `BEHIND` turns behind lets whole turns pass unheard, for everybody, and
says so. While ticks run close to their deadline, or have missed it, nobody is admitted.
A fault in one conversation, or of one guest, ends that one, with the reason; only what the
device raises ends all.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from interaction.conversation import TURN_S, Looked, Output, Words
from interaction.errors import InputError
from interaction.serve.engine import Engine, Full, Seat
from interaction.serve.line import Numbered, Stream
from interaction.snapshot import Snapshot

BEHIND = 3  # turns
CLOSE = 0.85  # of a turn: ticks that take longer leave no room for another conversation
RECENT = 50  # ticks that admission looks at; ten seconds
KEPT = 3_000  # ticks that figures are of; ten minutes
STOPPING = "the server is stopping; try another"


class Turn(NamedTuple):
    """What a guest is given. t_s: when the turn's input ended, on the guest's clock;
    missing_ms: of its input, silence in place of sound that had not come; given: that
    input, as the model was given it; made_s: when the output was there, on the room's."""

    out: Output
    t_s: float
    missing_ms: float
    given: Looked
    made_s: float = 0.0

    def on_clock(self, t_s: float) -> float:
        """A time of the conversation's own, which lacks the turns that passed unheard, on
        the guest's clock; to the millisecond."""
        return round(t_s + self.t_s - self.out.turn_s, 3)


class Guest(Protocol):
    """A client's side of a conversation."""

    line: Stream | Numbered

    def brings(self) -> tuple[np.ndarray | None, list[Words]]:
        """A pair of pictures, uint8 [2, H, W, 3], and what there is to read."""

    def given(self, turn: Turn) -> None: ...

    def ended(self, why: str) -> None:
        """The conversation is over, and not by the guest's own wish."""


class Tick(NamedTuple):
    """Of one tick: how long after its time it began, what it took to hear and to say,
    and to hand to the guests, who send it in their own time. met: it ended before the next
    one's time; positions: of the cache, in use; sound, words: turns and tokens that wait
    for the next tick."""

    late_ms: float
    compute_ms: float
    send_ms: float
    sessions: int
    met: bool
    positions: int = 0
    sound: float = 0.0
    words: int = 0


@dataclass
class Figures:
    """Of the last ticks, and since the beginning."""

    ticks: deque[Tick] = field(default_factory=lambda: deque(maxlen=KEPT))
    total: int = 0
    missed: int = 0
    skipped: int = 0

    def add(self, tick: Tick) -> None:
        self.ticks.append(tick)
        self.total += 1
        self.missed += not tick.met

    def recent(self) -> list[Tick]:
        return [*self.ticks][-RECENT:]

    def headroom(self, close: float = CLOSE) -> str | None:
        """Why nobody more should come; None when there is room. close: share of a turn that
        ticks may take; 0 for no rule."""
        if not close:
            return None
        last = [tick for tick in self.recent() if tick.sessions]
        if len(last) < RECENT // 5:
            return None
        took = float(np.percentile([t.compute_ms + t.send_ms for t in last], 95))
        if took > close * 1000 * TURN_S:
            return f"ticks take {took:.0f} of {1000 * TURN_S:.0f} ms; try again later"
        missed = sum(not t.met for t in last)
        if missed > RECENT // 10:
            return f"{missed} of the last {len(last)} ticks were late; try again later"
        return None


@dataclass(eq=False)
class _Place:
    seat: Seat
    guest: Guest
    turns: int = 0  # of the clock, heard or passed
    passed: int = 0  # unheard, and not yet told
    held: bool = False
    back: bool = False  # no time passes until its guest is heard

    @property
    def still(self) -> bool:
        return self.held or (self.back and not self.guest.line.begun)


class Room:
    """Lives from `start` to `stop`. now, sleep: of a clock in seconds; watch: is told of
    every tick; close: as `Figures.headroom` takes it."""

    def __init__(
        self,
        engine: Engine,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Any] = time.sleep,
        watch: Callable[[Tick], None] = lambda tick: None,
        close: float = CLOSE,
    ) -> None:
        self.engine = engine
        self._close = close
        self.figures = Figures()
        self._watch = watch
        self.failed: BaseException | None = None
        self._now, self._sleep = now, sleep
        self._places: dict[Guest, _Place] = {}
        self._asked: queue.SimpleQueue[tuple[Future, Callable[[], Any]]] = (
            queue.SimpleQueue()
        )
        self._stopping = threading.Event()
        self._open = threading.Lock()  # held to ask, and to answer for the last time
        self._thread = threading.Thread(target=self._live, name="room", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends after the tick that runs; guests are told."""
        self._stopping.set()
        self._thread.join()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def guests(self) -> int:
        return len(self._places)

    def refuses(self) -> str | None:
        """Why nobody would be admitted now."""
        if self.guests >= self.engine.slots:
            return f"all {self.engine.slots} slots are taken"
        return self.figures.headroom(self._close)

    def admit(self, guest: Guest, seed: int, temperature: float) -> Future[None]:
        """From the next tick on. The future raises Full, saying why."""
        return self._ask(lambda: self._new(guest, seed, temperature))

    def resume(self, guest: Guest, snapshot: Snapshot) -> Future[None]:
        """As `admit`, of a conversation that goes on with the guest's first sound. Raises
        InputError too."""
        return self._ask(lambda: self._old(guest, snapshot))

    def leave(self, guest: Guest) -> Future[None]:
        return self._ask(lambda: self._out(guest))

    def hold(self, guest: Guest) -> Future[int]:
        """No time passes for this conversation until `rejoin`. -> its turns so far."""
        return self._ask(lambda: self._hold(guest))

    def rejoin(self, held: Guest, guest: Guest) -> Future[None]:
        """Another guest goes on with a held conversation, from its first sound. Raises
        InputError when it has ended meanwhile."""
        return self._ask(lambda: self._rejoin(held, guest))

    def snapshot(self, guest: Guest) -> Future[Snapshot]:
        """Between two ticks: a copy to the host, no more. Raises InputError when the guest
        is not here."""
        return self._ask(lambda: self._snapshot(guest))

    def _ask(self, what: Callable[[], Any]) -> Future:
        future: Future = Future()
        with self._open:
            if self._stopping.is_set():
                future.set_exception(Full(STOPPING))
            else:
                self._asked.put((future, what))
        return future

    def _new(self, guest: Guest, seed: int, temperature: float) -> None:
        self._check_headroom()
        self._places[guest] = _Place(self.engine.admit(seed, temperature), guest)

    def _old(self, guest: Guest, snapshot: Snapshot) -> None:
        self._check_headroom()
        seat = self.engine.resume(snapshot)
        self._places[guest] = _Place(seat, guest, snapshot.turns, back=True)

    def _check_headroom(self) -> None:
        if why := self.figures.headroom(self._close):
            raise Full(why)

    def _snapshot(self, guest: Guest) -> Snapshot:
        place = self._place(guest)
        taken = self.engine.snapshot(place.seat)
        return taken._replace(turns=place.turns, delay=guest.line.delay)

    def _place(self, guest: Guest) -> _Place:
        if guest not in self._places:
            raise InputError("the conversation has ended")
        return self._places[guest]

    def _hold(self, guest: Guest) -> int:
        place = self._place(guest)
        place.held = True
        return place.turns

    def _rejoin(self, held: Guest, guest: Guest) -> None:
        place = self._place(held)
        del self._places[held]
        place.guest, place.held, place.back, place.passed = guest, False, True, 0
        self._places[guest] = place

    def _out(self, guest: Guest) -> None:
        if place := self._places.pop(guest, None):
            self.engine.leave(place.seat)

    def _eject(self, guest: Guest, why: str) -> None:
        self._out(guest)
        with contextlib.suppress(Exception):  # whoever cannot be told is gone
            guest.ended(why)

    def _live(self) -> None:
        due = self._now()
        try:
            while not self._stopping.is_set():
                due = self._wait(due + TURN_S)
                self._answer()
                self._tick(due)
        except BaseException as error:  # the device failed: nothing can go on
            self.failed = error
            raise
        finally:
            with self._open:
                self._stopping.set()
            while not self._asked.empty():
                future, _ = self._asked.get()
                if future.set_running_or_notify_cancel():
                    future.set_exception(Full(STOPPING))
            for guest in [*self._places]:
                self._eject(guest, STOPPING)

    def _wait(self, due: float) -> float:
        """Until a tick's time; or let turns pass, when it is long over."""
        behind = int((self._now() - due) / TURN_S)
        if behind > BEHIND:
            self.figures.skipped += behind
            for place in self._places.values():
                if place.still:
                    continue
                place.turns += behind
                place.passed += behind
                for _ in range(behind):
                    place.guest.line.take()
            due += behind * TURN_S
        if (early := due - self._now()) > 0:
            self._sleep(early)
        return due

    def _answer(self) -> None:
        while not self._asked.empty():
            future, what = self._asked.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(what())
            except Exception as error:
                future.set_exception(error)

    def _tick(self, due: float) -> None:
        began = self._now()
        given, missing = self._take()
        faults: dict[Seat, Exception] = {}
        outs = self.engine.tick(given, faults.__setitem__)
        done = self._now()
        for place in [*self._places.values()]:
            if error := faults.get(place.seat):
                self._break(place.guest, error)
            elif place.seat in outs:
                place.turns += 1
                unheard = 1e3 * TURN_S * place.passed + missing[place.seat]
                place.passed = 0
                t_s = round(place.turns * TURN_S, 3)
                turn = Turn(outs[place.seat], t_s, unheard, given[place.seat], done)
                self._give(place.guest, turn)
        ended = self._now()
        late, compute, send = (1e3 * x for x in (began - due, done - began, ended - done))
        sound, words = self._waits()
        tick = Tick(
            late, compute, send, len(outs), ended <= due + TURN_S,
            self.engine.positions, sound, words,
        )  # fmt: skip
        self.figures.add(tick)
        self._watch(tick)

    def _waits(self) -> tuple[float, int]:
        """Turns of sound, and tokens, that no tick has taken yet."""
        places = self._places.values()
        words = sum(place.seat.talk.words_waiting for place in places)
        return sum(place.guest.line.waiting for place in places), words

    def _take(self) -> tuple[dict[Seat, Looked], dict[Seat, float]]:
        """Every guest's input. One whose input is wrong leaves; others do not notice."""
        given: dict[Seat, Looked] = {}
        missing: dict[Seat, float] = {}
        for guest, place in [*self._places.items()]:
            if place.still:
                continue
            try:
                taken, (frames, words) = guest.line.take(), guest.brings()
                given[place.seat] = place.seat.talk.check(taken.wave, frames, words)
                missing[place.seat] = 1e3 * TURN_S * taken.missing / len(taken.wave)
            except Exception as error:  # of one client
                self._eject(guest, str(error))
        return given, missing

    def _break(self, guest: Guest, error: Exception) -> None:
        """A conversation's own half failed: a fault of ours, or of what it was given."""
        logging.getLogger(__name__).error("a conversation failed: %r", error)
        self._eject(guest, f"the conversation failed ({error!r}); begin a new one")

    def _give(self, guest: Guest, turn: Turn) -> None:
        try:
            guest.given(turn)
        except Exception as error:  # of one client
            self._eject(guest, str(error))
