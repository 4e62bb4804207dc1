"""Bad networks: what comes is heard at its place, what does not is silence, and told."""

from __future__ import annotations

import asyncio
from collections import Counter

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from interaction.errors import InputError
from interaction.serve.client import Client
from interaction.serve.line import Numbered
from interaction.serve.network import Network

TURN, PHASE_MS = 3200, 100.0
SHARE = st.sampled_from([0.0, 0.05, 0.3])
WHY = ("late", "early", "again")


def sound(number: int) -> np.ndarray:
    """No two turns are alike, and none is silent."""
    rng = np.random.default_rng([5, number + 100])
    return (rng.integers(1, 3000, TURN) / 32768).astype(np.float32)


@given(
    st.builds(Network, st.sampled_from([0.0, 90.0, 250.0, 600.0]), SHARE, SHARE, SHARE,
              st.integers(0, 99)),
    st.integers(0, 4),
)  # fmt: skip
def test_a_clock_that_waits_long_enough_hears_all_that_comes(network, less):
    """In its place, once; with a clock that waits less, what comes too late is dropped.
    Turns are sent 100 ms after a tick, as by `load`."""
    needs = network.turns(PHASE_MS)
    delay, turns = max(needs - less, 0), 60
    way, line = network.way(0), Numbered(delay)
    line.write(0, sound(0))  # from here on what is missing counts
    ways = {k: way.next() for k in range(1, turns)}
    arrivals = sorted(
        (200.0 * (k - 1) + PHASE_MS + ms, k) for k, comes in ways.items() for ms in comes
    )
    assert way.lost == sum(not comes for comes in ways.values())
    missing, sent = 0, 1 + len(arrivals)
    for tick in range(turns + delay):
        while arrivals and arrivals[0][0] < 200.0 * tick:
            line.write((k := arrivals.pop(0)[1]), sound(k))
        got, k = line.take(), tick - delay
        if got.missing:
            missing += 1
            assert not got.wave.any() and (delay < needs or not ways[k])
        elif k >= 0:
            assert (got.wave == sound(k)).all()
    heard = turns - missing
    assert heard + sum(line.dropped.values()) == sent - len(arrivals)
    if delay == needs:
        assert missing == way.lost and not line.dropped["early"]


def test_a_seed_is_a_network_and_people_have_their_own():
    def ways(person: int, **other) -> list:
        network = Network(600.0, 0.05, 0.05, 0.05, **{"seed": 1} | other)
        way = network.way(person)
        return [way.next() for _ in range(500)]

    assert ways(0) == ways(0) != ways(1) and ways(0) != ways(0, seed=2)
    comes = [x for each in ways(0) for x in each]
    assert 0 <= min(comes) and 500 < max(comes) <= 600
    assert 10 < sum(not each for each in ways(0)) < 50
    first = [200 * k + each[0] for k, each in enumerate(ways(0)) if each]
    overtaken = sum(a > b for a, b in zip(first, first[1:], strict=False))
    assert 5 < overtaken < 50
    assert Network().way(0).next() == [0.0]
    for wrong in ({"loss": 1.1}, {"delay_ms": -1.0}, {"reorder": -0.1}, {"duplicate": 2.0}):
        with pytest.raises(InputError, match="--"):
            Network(**wrong).check()


def test_a_conversation_over_a_bad_network_stays_on_the_clock(strict):
    """600 ms late, 5% lost, out of order and twice. What the server heard is in its
    recording: each turn at its place, or silence where it says that something misses."""
    network = Network(600.0, loss=0.05, reorder=0.05, duplicate=0.05, seed=17)
    delay, turns = network.turns(PHASE_MS), 60
    way = network.way(0)
    then = {why: dropped(strict, why) for why in WHY}
    under_way: list[asyncio.Task] = []
    sent: Counter[int] = Counter()
    said: list = []

    async def converse():
        async with Client(f"ws://127.0.0.1:{strict.port}", strict.key, delay=delay,
                          consent=True) as talk:  # fmt: skip
            async for reply in talk:
                said.append(reply.message)
                if reply.message.turn >= turns + delay:
                    break
                if (number := talk.turn) < turns:
                    talk.turn += 1
                    for ms in way.next():
                        sent[number] += 1
                        under_way.append(asyncio.create_task(send(talk, number, ms)))
            await asyncio.gather(*under_way)
        while not (strict.records / talk.recording).is_dir():
            await asyncio.sleep(0.05)
        return talk.recording

    async def send(talk, number, ms):
        await asyncio.sleep((PHASE_MS + ms) / 1e3)
        await talk.hear(sound(number), turn=number)

    name = asyncio.run(converse())
    assert way.lost >= 2 and way.doubled >= 2
    both, _ = soundfile.read(strict.records / name / "sound.flac", dtype="int16")
    heard, missing, first = set(), set(), said[0].turn
    for before, reply in zip([None, *said], said, strict=False):
        at, number = (reply.turn - first) * TURN, reply.turn - delay
        got = both[at : at + TURN, 0].tobytes()
        passed = reply.turn - before.turn - 1 if before else 0
        if got == (sound(number) * 32768).astype("<i2").tobytes():
            heard.add(number)
            assert reply.missing_ms == 200.0 * passed
        else:
            assert got == bytes(2 * TURN)
            if reply.missing_ms > 200.0 * passed:
                missing.add(number)
    assert heard <= set(sent) and len(heard) > turns // 2
    assert set(range(min(heard), max(heard))) - heard - missing <= passed_by(said, delay)
    more = {why: dropped(strict, why) - n for why, n in then.items()}
    assert more["again"] > 0
    if not passed_by(said, delay):
        assert len(heard) + sum(more.values()) == sum(sent.values())


def passed_by(said: list, delay: int) -> set[int]:
    """Numbers of turns that the clock let pass."""
    turns = {reply.turn for reply in said}
    return {k - delay for k in range(min(turns), max(turns)) if k not in turns}


def dropped(server, why: str) -> float:
    return server.figure(rf'interaction_input_dropped_total\{{why="{why}"\}}')
