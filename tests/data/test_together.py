"""Several dialogues in one row: each as in a row of its own."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interaction.data import world
from interaction.data.pack import Shape, pack
from interaction.data.together import pack_together
from interaction.grammar import Kind
from interaction.modality.text import Text
from interaction.package import ASSETS

TEXT = Text.open(ASSETS / "nano" / "tokenizer.json")
WIDE = Shape(2000, 200, 400)


@functools.cache
def dialogue(index: int, turns: int):
    mix = {"vision_color": 0.8, "echo": 0.2}
    return world.dialogue(3, index, turns=turns, mix=mix)


CHOICES = st.tuples(st.integers(0, 5), st.sampled_from([8, 24, 31]))


@settings(max_examples=12, deadline=None)
@given(st.lists(CHOICES, min_size=1, max_size=3))
def test_each_is_what_it_is_alone(tiny, chosen):
    dialogues = [dialogue(*each) for each in chosen]
    turns = sum(d.turns for d in dialogues) + 2
    row = pack_together(dialogues, TEXT, tiny, WIDE, turns)
    n, age = int(row["n_valid"]), row["age"]
    begins = np.flatnonzero((row["kind"][:n] == Kind.TURN) & (age[:n] == 0))
    assert len(begins) == len(dialogues) and (begins % tiny.kv_split == 0).all()
    heard_at = np.flatnonzero(row["kind"] == Kind.AUDIO_IN)
    said_at = row["voice_at"][row["voice_at"] >= 0]
    left = n
    for start, one in zip(begins, dialogues, strict=True):
        alone = pack(one, TEXT, tiny, WIDE)
        m = int(alone["n_valid"])
        at, kind = slice(start, start + m), alone["kind"][:m]
        assert np.array_equal(row["kind"][at], kind)
        assert np.array_equal(row["token"][at], alone["token"][:m])
        assert np.array_equal(age[at], np.arange(m))
        index, own = row["index"][at], alone["index"][:m]
        for of, name in (
            (Kind.AUDIO_IN, "dmel"), (Kind.PATCH, "patches"), (Kind.AUDIO_OUT, "voice"),
        ):  # fmt: skip
            here = kind == of
            assert np.array_equal(row[name][index[here]], alone[name][own[here]])
        mine = (heard_at >= start) & (heard_at < start + m)
        assert np.array_equal(
            row["heard"][: len(heard_at)][mine], alone["heard"][: mine.sum()]
        )
        mine = (said_at >= start) & (said_at < start + m)
        assert np.array_equal(said_at[mine] - start, alone["voice_at"][: mine.sum()])
        firsts = row["voice_first"][: len(said_at)][mine]
        assert np.array_equal(firsts, alone["voice_first"][: mine.sum()])
        left -= m
    gaps = row["kind"][:n] == Kind.PAD
    assert gaps.sum() == left and (age[:n][gaps] == 0).all()
    assert not row["kind"][n:].any()
    assert all(row["kind"][start - 1] == Kind.PAD for start in begins[1:])


@pytest.mark.parametrize("positions", [200, 330, 360, 600])
def test_what_does_not_fit_is_cut_at_a_turn(tiny, positions):
    dialogues = [dialogue(i, 24) for i in range(3)]
    shape = Shape(positions, 200, 400)
    row = pack_together(dialogues, TEXT, tiny, shape, 72)
    n = int(row["n_valid"])
    assert 0 < n <= positions
    assert row["kind"][n - 1] in (Kind.SILENT, Kind.AUDIO_OUT)
    begins = np.flatnonzero((row["kind"] == Kind.TURN) & (row["age"] == 0))
    for start, one in zip(begins, dialogues, strict=False):
        alone = pack(one, TEXT, tiny, WIDE)
        m = min(int(alone["n_valid"]), n - start)
        assert np.array_equal(row["kind"][start : start + m], alone["kind"][:m])
    assert (
        row["heard"][(row["kind"] == Kind.AUDIO_IN).sum() :]
        == tiny.controls_at + Kind.NOTHING
    ).all()


def test_more_turns_than_a_row_holds_are_refused(tiny):
    with pytest.raises(ValueError, match="48 micro-turns for a row of 40"):
        pack_together([dialogue(0, 24), dialogue(1, 24)], TEXT, tiny, WIDE, 40)
