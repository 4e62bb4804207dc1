"""Text: round trips, and one token a word of the nano vocabulary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interaction.data.scenes.words import AGENT_WORDS
from interaction.errors import InputError
from interaction.modality.text import Text, train
from interaction.package import ASSETS

NANO = Text.open(ASSETS / "nano" / "tokenizer.json")


@given(st.text(max_size=40))
def test_any_text_comes_back(text):
    assert NANO.decode(NANO.encode(text)) == text


def test_every_agent_word_is_one_token():
    assert all(len(NANO.word(word)) == 1 for word in AGENT_WORDS)
    ids = [i for word in AGENT_WORDS for i in NANO.word(word)]
    assert NANO.decode(ids).split() == list(AGENT_WORDS)


def test_training_is_deterministic(tmp_path):
    lines = ["say red", "say blue green", "count to ten"] * 3
    for name in "ab":
        train(lines, 280).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_bad_files_are_named(tmp_path):
    with pytest.raises(InputError, match="no tokenizer at"):
        Text.open(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match="is not a tokenizer.json"):
        Text.open(tmp_path / "bad.json")
