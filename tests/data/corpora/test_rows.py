"""Rows of a corpus: exact windows, the same for any number of workers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interaction.data.corpora.rows import CorpusRow, Windows, best_fit
from interaction.data.pack import Shape
from interaction.data.pipeline import batches
from interaction.data.together import pack_together
from interaction.errors import InputError
from interaction.modality.text import Text
from interaction.package import ASSETS

TOKENIZER = str(ASSETS / "nano" / "tokenizer.json")
TURNS = 16
SHAPE = Shape(128, 4, 40)


@pytest.mark.parametrize("seed", [0, 1])
def test_an_epoch_has_every_window_once(seed):
    lengths = (100, 16, 5, 47, 9, 1, 15)
    windows = Windows(lengths, TURNS, seed, splits=8)
    assert windows.epoch == 6 + 1 + 2 + 3  # two of the short ones share a row
    for epoch in range(3):
        rows = [windows[epoch * windows.epoch + i] for i in range(windows.epoch)]
        assert all(sum(piece.turns for piece in row) <= TURNS for row in rows)
        pieces = [piece for row in rows for piece in row]
        for dialogue, length in enumerate(lengths):
            mine = sorted(piece for piece in pieces if piece.dialogue == dialogue)
            starts = [piece.start for piece in mine]
            assert len(starts) == max(length // TURNS, 1)
            assert (np.diff(starts) == TURNS).all() and starts[0] >= 0
            assert {piece.turns for piece in mine} == {min(length, TURNS)}
            assert starts[-1] + min(length, TURNS) <= length


@given(st.lists(st.integers(1, 12), max_size=60), st.integers(0, 9))
def test_bins_hold_everything_once_and_are_few(costs, seed):
    bins = best_fit(costs, 12, seed)
    assert sorted(i for items in bins for i in items) == list(range(len(costs)))
    held = [sum(costs[i] for i in items) for items in bins]
    assert all(0 < n <= 12 for n in held)
    assert sum(n <= 6 for n in held) <= 1  # two such would have shared one


def test_the_fullest_bin_that_has_room_is_taken():
    """7 + 5 and 6 + 4 + 2: in the emptiest, 2 would be left over."""
    assert len(best_fit([7, 6, 5, 4, 2], 12, seed=0)) == 2


def test_windows_follow_from_the_seed_and_move_between_epochs():
    windows, again, other = (Windows((100, 47), TURNS, seed) for seed in (3, 3, 4))
    rows = [windows[i] for i in range(8 * 40)]
    assert rows == [again[i] for i in range(8 * 40)]
    assert rows != [other[i] for i in range(8 * 40)]
    assert rows[:8] != rows[8:16]
    pieces = [piece for row in rows for piece in row if piece.dialogue == 0]
    seen = {piece.start + turn for piece in pieces for turn in range(TURNS)}
    assert seen == set(range(100))  # what falls off the ends in one comes in another


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, write):
    """Talks of 20.2, 1.4 and 1 s: 101, 7 and 5 turns."""
    from interaction.data.corpora.prepare import Options, prepare

    src = tmp_path_factory.mktemp("talks")
    with (src / "data.jsonl").open("w") as lines:
        for name, seconds in (("long", 20.2), ("short", 1.4), ("shorter", 1.0)):
            marks = np.arange(0.3, seconds - 0.5, 1.0).tolist()
            said = [["yes", [t, t + 0.3], "SPEAKER_MAIN"] for t in marks]
            said += [["no", [t + 0.4, t + 0.6], "B"] for t in marks]
            spans = [[(t, t + 0.3) for t in marks], [(t + 0.4, t + 0.6) for t in marks]]
            write(src / f"{name}.wav", seconds, spans)
            (src / f"{name}.json").write_text(json.dumps({"alignments": said}))
            lines.write(json.dumps({"path": f"{name}.wav", "duration": seconds}) + "\n")
    dst = tmp_path_factory.mktemp("prepared") / "dst"
    prepare(Options("moshi", src), dst, "test")
    return str(dst)


@pytest.fixture(scope="module")
def make(tiny, corpus):
    return CorpusRow(tiny, SHAPE, TOKENIZER, 5, TURNS, corpus)


def test_a_window_is_that_part_of_the_dialogue(make, corpus):
    from interaction.data.corpora.records import Corpus

    opened = Corpus.open(corpus)
    windows = Windows(opened.turns, TURNS, 5, splits=8)
    pieces = [piece for row in range(windows.epoch) for piece in windows[row]]
    parts = [part for row in range(windows.epoch) for part in make.parts(row)]
    assert len(pieces) == 6 + 2 and windows.epoch == 6 + 1
    for (number, start, turns), part in zip(pieces, parts, strict=True):
        whole = opened[number]
        first, n = start * 3_200, turns * 3_200
        assert len(part.user) == len(part.agent) == n
        for side in ("user", "agent"):
            wanted = getattr(whole, side)[first : first + n]
            assert np.array_equal(getattr(part, side)[: len(wanted)], wanted)
            assert not getattr(part, side)[len(wanted) :].any()
        begin = start * 0.2
        words = [
            (w.text, round(w.t0 - begin, 3))
            for u in whole.utterances
            for w in u.words
            if w.t1 > begin and w.t0 < begin + 0.2 * turns
        ]
        found = [(w.text, round(w.t0, 3)) for u in part.utterances for w in u.words]
        assert words and found == words
        assert all(0 < t <= 0.2 * turns + 1e-6 for t, _ in part.control)


def test_rows_are_packed_windows(make, tiny):
    rows = [make.map(i) for i in range(7)]
    for i, row in enumerate(rows):
        text = Text.open(TOKENIZER)
        wanted = pack_together(make.parts(i), text, tiny, SHAPE, TURNS)
        assert row.keys() == wanted.keys()
        assert all(np.array_equal(row[name], wanted[name]) for name in row)
    assert {name: np.shape(x) for name, x in rows[0].items()} == {
        name: np.shape(x) for name, x in rows[6].items()
    }
    assert all((row["voice_at"] >= 0).any() for row in rows)


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_are_the_same_for_any_number_of_workers(make, workers):
    stream = iter(batches(make, 2, workers))
    for k in range(3):
        batch = next(stream)
        for j in range(2):
            row = make.map(2 * k + j)
            assert all(np.array_equal(batch[name][j], row[name]) for name in row)


def test_pictures_of_another_size_are_refused(tiny, tmp_path, prepared):
    from interaction.data.manifest import write_manifest
    from interaction.data.world import dialogue

    shown = next(d for d in (dialogue(0, i) for i in range(99)) if d.frames)
    write_manifest([shown], tmp_path / "src")
    index = prepared("manifest", tmp_path / "src").index
    assert index["conversations"] == 1
    dst = str(tmp_path / "dst-0")
    row = CorpusRow(tiny, SHAPE, TOKENIZER, 0, shown.turns, dst)
    assert len(row.parts(0)[0].frames) == len(shown.frames)
    import dataclasses

    other = dataclasses.replace(tiny, frame_width=160)
    with pytest.raises(InputError, match="prepare it with --video=40x160"):
        CorpusRow(other, SHAPE, TOKENIZER, 0, shown.turns, dst).map(0)


def test_no_corpus(tiny, tmp_path):
    with pytest.raises(InputError, match="no corpus; run python -m interaction.data"):
        CorpusRow(tiny, SHAPE, TOKENIZER, 0, TURNS, str(tmp_path))
