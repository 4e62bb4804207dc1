"""Packing: a dialogue's rows follow the grammar and say what the dialogue says."""

from __future__ import annotations

import numpy as np
import pytest

from interaction.data import world
from interaction.data.pack import Shape, pack
from interaction.grammar import AUDIO_PER_TURN, MAX_TEXT, Kind
from interaction.modality.audio import HOP, SAMPLE_RATE, dmel
from interaction.modality.text import Text
from interaction.package import ASSETS

TEXT = Text.open(ASSETS / "nano" / "tokenizer.json")
SHAPE = Shape(768, 60, 200)


@pytest.fixture(scope="module", params=range(12))
def packed(request, tiny):
    dialogue = world.dialogue(3, request.param, turns=48)
    return dialogue, pack(dialogue, TEXT, tiny, SHAPE)


def turns_of(row) -> list[list[int]]:
    kinds = row["kind"][: row["n_valid"]].tolist()
    starts = [i for i, k in enumerate(kinds) if k == Kind.TURN] + [len(kinds)]
    pairs = zip(starts, starts[1:], strict=False)
    return [kinds[a:b] for a, b in pairs]


def test_every_turn_follows_the_grammar(packed):
    for kinds in turns_of(packed[1]):
        i = 1
        if kinds[i] == Kind.IMG:
            i += 1
            while kinds[i] == Kind.PATCH:
                i += 1
        assert kinds[i : i + AUDIO_PER_TURN] == [Kind.AUDIO_IN] * AUDIO_PER_TURN
        i += AUDIO_PER_TURN
        i += kinds[i] in (Kind.CLEAR, Kind.BREAK)
        texts = 0
        while kinds[i] == Kind.TEXT:
            i, texts = i + 1, texts + 1
        assert texts <= MAX_TEXT
        speak = [Kind.SPEAK] + [Kind.AUDIO_OUT] * AUDIO_PER_TURN
        assert kinds[i:] in (speak, [Kind.SILENT])


def test_text_is_what_the_agent_says(packed):
    dialogue, row = packed
    n = row["n_valid"]
    ids = row["token"][:n][row["kind"][:n] == Kind.TEXT]
    said = [u.text for u in dialogue.utterances if u.lane == "agent"]
    assert TEXT.decode(ids).split() == " ".join(said).split()


def test_speech_and_silence_match_the_waveform(packed):
    dialogue, row = packed
    for k, kinds in enumerate(turns_of(row)):
        loud = np.abs(dialogue.agent[(k + 1) * 3200 : (k + 2) * 3200]).max(initial=0)
        if Kind.SILENT in kinds:
            assert loud == 0
        elif loud == 0:  # a rest between words; the frame before or after sounds
            around = dialogue.agent[k * 3200 : (k + 3) * 3200]
            assert np.abs(around).max() > 0


def test_patches_are_predicted_by_the_position_before(packed):
    _, row = packed
    at = row["voice_at"][row["voice_at"] >= 0]
    assert len(at) and (row["kind"][at + 1] == Kind.AUDIO_OUT).all()
    assert (row["index"][at + 1] == np.arange(len(at))).all()
    first = np.flatnonzero(row["voice_first"])
    assert (row["kind"][row["voice_at"][first]] == Kind.SPEAK).all()


def test_ears_get_the_users_sound(packed):
    dialogue, row = packed
    assert (row["dmel"] == dmel(dialogue.user)).all()


def test_heard_labels_follow_the_words(packed, tiny):
    dialogue, row = packed
    words = [w for u in dialogue.utterances if u.lane in ("user", "side") for w in u.words]
    for word in words:
        middle = (word.t0 + word.t1) / 2 + 0.08
        i = int(middle * SAMPLE_RATE / HOP)
        overlapping = [w for w in words if w.t0 <= middle - 0.08 < w.t1]
        if i < len(row["heard"]) and len(overlapping) == 1 and word.t1 - word.t0 > 0.15:
            assert row["heard"][i] in TEXT.word(word.text)
    quiet = row["heard"] == tiny.controls_at + Kind.NOTHING
    assert quiet.any()


def test_rows_end_with_a_whole_turn(tiny):
    dialogue = world.dialogue(3, 0, turns=48)
    for positions in (40, 100, 101, 102, 103):
        row = pack(dialogue, TEXT, tiny, Shape(positions, 8, 12))
        last = row["kind"][row["n_valid"] - 1]
        assert row["n_valid"] <= positions and last in (Kind.SILENT, Kind.AUDIO_OUT)
        assert (row["voice_at"] < row["n_valid"]).all()
