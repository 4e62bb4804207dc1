"""Uneven streams on an even clock: aligned, bounded, and nothing heard twice."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from interaction.serve.line import Numbered, Stream

TURN = 3200


def turn(number: int) -> np.ndarray:
    """Its number and its place are in every sample."""
    return np.arange(number * TURN, (number + 1) * TURN, dtype=np.float32) + 1


@given(st.lists(st.integers(1, 4000), max_size=60), st.integers(0, 2 * TURN))
def test_an_appended_stream_keeps_order_and_bound(chunks, most):
    """Whatever the chunks: samples come out in order and once, the lag is bounded, and
    every sample is heard, dropped or waiting."""
    line, sent, heard, missing = Stream(most), 0, [], 0
    for n in chunks:
        line.write(np.arange(sent + 1, sent + n + 1, dtype=np.float32))
        sent += n
        got = line.take()
        assert got.wave.shape == (TURN,)
        assert (got.wave == 0).sum() == got.missing
        heard += got.wave[got.wave > 0].tolist()
        missing += got.missing
        assert sent - (heard[-1] if heard else 0) <= most
    assert heard == sorted(set(heard))
    waiting = sent - round(TURN * line.dropped["late"]) - len(heard)
    assert 0 <= waiting <= most
    assert len(heard) + missing == TURN * len(chunks)


def test_a_stream_that_stops_and_bursts_does_not_lag():
    line = Stream(most=TURN)
    for k in range(5):
        line.write(turn(k))
        assert (line.take().wave == turn(k)).all()
    assert [line.take().missing for _ in range(3)] == [TURN] * 3
    for k in range(5, 9):  # three that are late, and the one of now
        line.write(turn(k))
    assert (line.take().wave == turn(7)).all()
    assert line.dropped == {"late": 2.0}
    assert Stream().take().missing == 0
    line.write(turn(9))
    line.clear()
    assert line.take().missing == TURN


@given(st.data(), st.integers(0, 4), st.integers(0, 6))
def test_numbered_turns_are_heard_at_their_time_or_not_at_all(data, delay, ahead):
    """Delayed, lost, doubled and reordered: turn k is turn k's sound, or silence that is
    told; what waits is bounded."""
    n = 30
    arrivals: dict[int, list[int]] = {}
    for k in range(n):
        for _ in range(data.draw(st.sampled_from([0, 1, 1, 1, 2]))):
            when = max(k + data.draw(st.integers(-ahead, 8)), 0)
            arrivals.setdefault(when, []).append(k)
    line, accepted, begun = Numbered(delay, ahead), set(), False
    for tick in range(n + delay):
        for k in arrivals.get(tick, []):
            if line.write(k, turn(k)):
                assert k not in accepted or k < tick - delay
                accepted.add(k)
                begun = True
        assert len(line._waiting) <= delay + ahead + 1
        got, k = line.take(), tick - delay
        if k in accepted:
            assert (got.wave == turn(k)).all() and got.missing == 0
        else:
            assert not got.wave.any()
            assert got.missing == (TURN if k >= 0 and begun else 0)
    sent = sum(len(ks) for when, ks in arrivals.items() if when < n + delay)
    assert len(accepted) + sum(line.dropped.values()) == sent


def test_a_delay_outlasts_what_is_late():
    line = Numbered(delay=3)
    heard = []
    for tick in range(20):
        if tick >= 3:
            line.write(tick - 3, turn(tick - 3))  # each 600 ms late
        heard.append(line.take())
    assert all((x.wave == turn(k)).all() for k, x in enumerate(heard[3:]))
    assert not any(line.dropped.values())
