"""Conversations among others, moved, killed and forked: the same bits as alone."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from interaction import snapshot
from interaction.conversation import Words
from interaction.errors import InputError
from interaction.grammar import Kind
from interaction.package import open_package
from interaction.recording import CompileCounter
from interaction.serve.engine import Engine, Full

TURN, SLOTS = 3200, 16


def heard(person: int, turn: int) -> dict:
    """What a person brings to a turn: sound, and now and then a picture or a word."""
    rng = np.random.default_rng([person, turn])
    brings = {"audio": (0.1 * rng.standard_normal(TURN)).astype(np.float32)}
    if (turn + person) % 7 == 3:
        brings["frames"] = rng.integers(0, 256, (2, 48, 90, 3), np.uint8)
    if (turn + 2 * person) % 9 == 4:
        brings["text"] = "hello there"
    if turn == person % 2 == 0:
        brings["text"] = [Words("say what you see", Kind.INSTRUCT)]
    return brings


def bits(out) -> bytes:
    arrays = b"".join(np.asarray(x).tobytes() for x in jax.tree.leaves(out.frame))
    return arrays + repr((out.text, out.heard, out.events)).encode()


def advance(engine: Engine, people: dict) -> dict:
    """One tick of everybody; people: person -> seat. -> person -> bits."""
    given = {
        seat: seat.talk.check(**heard(person, seat.talk.turn))
        for person, seat in people.items()
    }
    outs = engine.tick(given)
    return {person: bits(outs[seat]) for person, seat in people.items()}


@pytest.fixture(scope="module")
def engine(tiny_package) -> Engine:
    return Engine(open_package(tiny_package), SLOTS)


@pytest.fixture(scope="module")
def alone(tiny_package):
    """Everybody's conversation in an engine of one slot. person, turns -> bits."""
    single = Engine(open_package(tiny_package), 1)

    def run(person: int, turns: int) -> list[bytes]:
        seat = single.admit(seed=person, temperature=1.0)
        found = [advance(single, {person: seat})[person] for _ in range(turns)]
        single.leave(seat)
        return found

    return run


@pytest.fixture(autouse=True)
def empty(engine):
    yield
    for seat in engine.seats:
        engine.leave(seat)


def test_among_others_as_alone(engine, alone):
    """Every slot is taken; people go, come and pause; slots are used again. Nothing
    compiles meanwhile."""
    said: dict[int, list[bytes]] = {}
    here: dict = {}
    rng, slots = np.random.default_rng(0), [*range(SLOTS)]
    with CompileCounter() as counter:
        for tick in range(24):
            while len(here) < SLOTS and tick % 3 == 0:
                person = len(said)
                here[person] = engine.admit(seed=person, temperature=1.0)
                said[person] = []
            if tick % 3 == 1:
                engine.leave(here.pop(min(here)))
            full = tick % 3 == 0
            now = {p: seat for p, seat in here.items() if full or rng.random() < 0.9}
            assert not full or sorted(seat.slot for seat in now.values()) == slots
            for person, found in advance(engine, now).items():
                said[person].append(found)
    assert counter.count == 0
    assert len(said) > SLOTS
    for person, found in said.items():
        assert found == alone(person, len(found)), person


def test_a_full_engine_refuses_and_a_seat_is_given_once(engine):
    seats = [engine.admit() for _ in range(SLOTS)]
    with pytest.raises(Full, match=f"all {SLOTS} slots"):
        engine.admit()
    engine.leave(seats[2])
    engine.leave(seats[2])
    assert engine.admit().slot == 2
    with pytest.raises(Full):
        engine.admit()
    with pytest.raises(InputError, match="ended"):
        engine.tick({seats[2]: seats[2].talk.check(np.zeros(TURN))})


@pytest.mark.parametrize("at", [1, 9, 23])
def test_a_snapshot_goes_on_in_any_slot_and_forks(engine, alone, tmp_path, at):
    """The one it was taken of goes on too, and two that hear the same stay equal."""
    first = engine.admit(seed=3, temperature=1.0)
    for _ in range(at):
        advance(engine, {3: first})
    path = tmp_path / "talk.safetensors"
    snapshot.save(path, engine.snapshot(first))
    taken = snapshot.load(path, engine.cfg)
    forks = [engine.resume(taken), engine.resume(taken)]
    assert len({seat.slot for seat in (first, *forks)}) == 3
    want = alone(3, at + 12)[at:]
    for seat in (forks[0], first, forks[1]):
        assert [advance(engine, {3: seat})[3] for _ in range(12)] == want


def test_a_snapshot_holds_nothing_of_who_had_the_slot_before(engine):
    before = engine.admit(seed=1, temperature=1.0)
    for _ in range(12):
        advance(engine, {1: before})
    engine.leave(before)
    seat = engine.admit(seed=2)
    assert seat.slot == before.slot
    row = engine.snapshot(seat).row
    assert not any(np.asarray(x).any() for x in jax.tree.leaves(row.cache))


def test_another_models_snapshot_is_refused(engine, tmp_path, tiny_package):
    taken = engine.snapshot(engine.admit())
    with pytest.raises(InputError, match="another model"):
        engine.resume(taken._replace(model="of another"))
    path = tmp_path / "talk.safetensors"
    snapshot.save(path, taken)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"talk\.safetensors"):
        snapshot.load(path, engine.cfg)
    with pytest.raises(InputError, match="no conversation"):
        snapshot.load(tiny_package / "waveform.safetensors", engine.cfg)
