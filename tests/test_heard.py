"""Heard words: runs of labels become words, once, when they end."""

from __future__ import annotations

import numpy as np

from interaction.heard import HeardWords

NOTHING = 99


def push_all(labels: list[int], p: float = 0.9) -> list[int]:
    heard, found = HeardWords(NOTHING), []
    for i in range(0, len(labels), 4):
        part = np.array(labels[i : i + 4])
        found += [token for token, _ in heard.push(part, np.full(len(part), p))]
    return found


def test_a_run_is_reported_once_when_it_ends():
    labels = [NOTHING, 5, 5, 5, 5, 5, NOTHING, NOTHING]
    assert push_all(labels) == [5]
    assert push_all(labels[:6]) == []


def test_a_flicker_is_not_a_word():
    assert push_all([5, 5, 5, 7, 8, 8, 8, NOTHING]) == [5, 8]
    assert push_all([5, 5, NOTHING, NOTHING], p=0.4) == []


def test_position_is_where_the_end_was_seen():
    heard = HeardWords(NOTHING)
    ended = heard.push(np.array([5, 5, NOTHING, NOTHING]), np.ones(4))
    assert ended == [(5, 2)]
