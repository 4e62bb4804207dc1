"""The clock: conversations on time, and rules when there is none."""

from __future__ import annotations

import asyncio
import dataclasses
import queue
import threading

import numpy as np
import pytest

from interaction.conversation import Event, Words
from interaction.errors import InputError
from interaction.package import open_package
from interaction.serve.away import Away
from interaction.serve.engine import Engine, Full
from interaction.serve.line import Numbered, Stream
from interaction.serve.metrics import Metrics
from interaction.serve.native import say
from interaction.serve.room import CLOSE, RECENT, Figures, Room, Tick
from interaction.serve.shelf import Shelf

TURN, SLOTS = 3200, 6


class Caller:
    """A guest that keeps what it is given."""

    def __init__(self, line=None) -> None:
        self.line = line or Stream()
        self.turns: queue.Queue = queue.Queue()
        self.why: queue.Queue = queue.Queue()
        self.pictures: np.ndarray | None = None
        self.words: list = []
        self.breaks = False

    def brings(self):
        return self.pictures, self.words

    def given(self, turn) -> None:
        if self.breaks:
            raise ConnectionError("gone")
        self.turns.put(turn)

    def ended(self, why: str) -> None:
        self.why.put(why)

    def next(self, n: int) -> list:
        return [self.turns.get(timeout=60) for _ in range(n)]


class Clock:
    """Time that passes when it is slept, and when the test says so."""

    def __init__(self) -> None:
        self.t, self.steps = 0.0, threading.Semaphore(0)

    def now(self) -> float:
        return self.t

    def sleep(self, s: float) -> None:
        self.steps.acquire(timeout=60)
        self.t += s


@pytest.fixture(scope="module")
def engine(tiny_package) -> Engine:
    return Engine(open_package(tiny_package), SLOTS)


@pytest.fixture
def room(engine):
    clock = Clock()
    room = Room(engine, clock.now, clock.sleep)
    room.clock = clock
    room.start()
    yield room
    if room.alive:
        clock.steps.release()
        room.stop()
    assert engine.seats == []


def enter(room, caller) -> None:
    asked = room.admit(caller, 0, 0.0)
    room.clock.steps.release()
    asked.result(timeout=60)


def test_every_tick_gives_a_turn(room):
    caller = Caller()
    enter(room, caller)
    room.clock.steps.release(9)
    turns = caller.next(10)
    assert [turn.t_s for turn in turns] == [round(0.2 * k, 1) for k in range(1, 11)]
    assert all(turn.out.audio.shape == (TURN,) for turn in turns)
    last = [*room.figures.ticks][-1]
    assert last.sessions == 1 and last.met and room.figures.missed == 0


def test_one_guest_breaks_and_others_do_not_notice(room):
    well, wrong, gone, *others = (Caller() for _ in range(SLOTS))
    for caller in (well, wrong, gone, *others):
        enter(room, caller)
    with pytest.raises(Full):
        enter(room, Caller())
    wrong.pictures, gone.breaks = np.zeros((1, 2, 3)), True
    room.clock.steps.release(4)
    assert "frames are (1, 2, 3)" in wrong.why.get(timeout=60)
    assert gone.why.get(timeout=60) == "gone"
    before = [t.t_s for t in well.next(8)]
    assert before == [round(0.2 * k, 1) for k in range(1, 9)]
    assert room.guests == SLOTS - 2
    enter(room, Caller())


@pytest.mark.parametrize("way", ["in", "out"])
def test_a_conversation_that_fails_ends_alone(room, way):
    """Words that are none raise on the way in; a talk without its text, on the way out."""
    well, failed = Caller(), Caller()
    for caller in (well, failed):
        enter(room, caller)
    failed.next(1)
    if way == "in":
        failed.words = [Words(5)]
    else:
        room._places[failed].seat.talk._text = None
    room.clock.steps.release(4)
    why = failed.why.get(timeout=60)
    assert why.startswith("the conversation failed (AttributeError") and "new one" in why
    enter(room, other := Caller())
    other.next(1)
    ticks = [turn.t_s for turn in well.next(6)]
    assert ticks == [round(0.2 * k, 1) for k in range(1, 7)]
    assert room.alive and room.guests == 2


def test_a_clock_far_behind_lets_turns_pass_and_says_so(room):
    """Ten turns pass: the line's sound of that time is gone, later sound is heard."""
    caller = Caller(Numbered(ahead=40))
    enter(room, caller)
    for k in range(1, 20):
        caller.line.write(k, np.full(TURN, 0.01 * k, np.float32))
    room.clock.steps.release(2)
    caller.next(3)
    room.clock.t += 10 * 0.2  # asleep in the tick that comes next
    room.clock.steps.release(3)
    turns = caller.next(3)
    passed = room.figures.skipped
    assert 8 <= passed <= 10
    assert [round(sum(t.missing_ms for t in turns))] == [200 * passed]
    assert turns[-1].t_s == pytest.approx(0.2 * (6 + passed))
    event = Event(turns[-1].out.turn_s, "control", "BREAK", "")
    out = dataclasses.replace(turns[-1].out, events=(event,))
    told = say(turns[-1]._replace(out=out), b"", 200)
    assert [e.t_s for e in told.events] == [turns[-1].t_s]
    assert caller.line.now >= 6 + passed and not any(caller.line.dropped.values())


def test_an_ended_conversation_has_no_snapshot_and_a_stopped_room_no_place(room):
    caller = Caller()
    enter(room, caller)
    taken = room.snapshot(caller)
    left = room.leave(caller)
    again = room.snapshot(caller)
    room.clock.steps.release(2)
    assert taken.result(timeout=60).talk["turn"] >= 1
    left.result(timeout=60)
    with pytest.raises(InputError, match="has ended"):
        again.result(timeout=60)
    on = Caller()
    asked = room.resume(on, taken.result())
    room.clock.steps.release(2)
    asked.result(timeout=60)
    room.clock.steps.release(2)
    assert on.turns.empty(), "it waits for the first sound"
    on.line.write(np.zeros(TURN, np.float32))
    room.clock.steps.release(2)
    assert on.next(1)[0].t_s == round(0.2 * (taken.result().turns + 1), 1)
    room.clock.steps.release()
    room.stop()
    assert "stopping" in on.why.get(timeout=60)
    with pytest.raises(Full, match="stopping"):
        room.admit(caller, 0, 0.0).result(timeout=60)


def test_no_room_is_left_when_ticks_run_close_or_late():
    close, late, well = 200 * CLOSE + 1, 250.0, 100.0
    for ms, met, why in ((close, True, "of 200 ms"), (well, False, "were late")):
        figures = Figures()
        for _ in range(RECENT):
            figures.add(Tick(0.0, well, 0.0, 1, True))
        assert figures.headroom() is None
        for _ in range(RECENT // 5):
            figures.add(Tick(0.0, ms, 0.0, 1, met))
        assert why in figures.headroom()
        for _ in range(RECENT):
            figures.add(Tick(0.0, well, 0.0, 1, True))
        assert figures.headroom() is None
    figures = Figures()
    figures.add(Tick(0.0, late, 0.0, 1, False))
    assert figures.headroom() is None, "too few to tell"
    assert figures.missed == figures.total == 1


def test_the_clock_waits_for_no_disk(room, tmp_path):
    """A conversation is on its way to a shelf that takes its time; the turns go on."""
    written = threading.Event()

    class Slow(Shelf):
        def put(self, token, snapshot):
            assert written.wait(60)
            super().put(token, snapshot)

    caller, shelf = Caller(), Slow(tmp_path, room.engine.cfg, 60.0)
    enter(room, caller)
    away = Away(room, Metrics(SLOTS, room.engine.holds), 20.0, shelf)

    async def file():
        filing = asyncio.create_task(away.file("token", caller))
        await asyncio.sleep(0)
        room.clock.steps.release(8)
        await asyncio.to_thread(caller.next, 8)
        assert not filing.done() and not any(tmp_path.iterdir())
        written.set()
        return await filing

    turns = asyncio.run(file())
    assert shelf.take("token").turns == turns <= 2
