"""Text: round trips, and one token a word of the nano vocabulary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

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


VEIL = "\ufdd0"
END, SYSTEM, CALL = "<|end|>", "<|system|>", "<call>"


def marked(tokenizer: Tokenizer) -> Text:
    """With marks: some special, one not."""
    tokenizer.add_special_tokens([AddedToken(m, special=True) for m in (END, SYSTEM)])
    tokenizer.add_tokens([AddedToken(CALL, special=False)])
    return Text(tokenizer)


def nano() -> Tokenizer:
    return Tokenizer.from_file(str(ASSETS / "nano" / "tokenizer.json"))


def of_words() -> Tokenizer:
    """The marks stand in its vocabulary, and fold from other characters."""
    words = ["?", END, SYSTEM, CALL, *"<|end>systmcal"]
    tokenizer = Tokenizer(
        models.WordLevel({w: i for i, w in enumerate(dict.fromkeys(words))}, "?")
    )
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


@pytest.mark.parametrize("make", [nano, of_words])
@pytest.mark.parametrize("mark", [END, SYSTEM, CALL, "\uff1c|end|\uff1e"])
def test_plain_text_holds_no_mark(make, mark):
    text = marked(make())
    marks = {text.special(each) for each in (END, SYSTEM, CALL)}
    for each in (mark, f"a {mark} b", mark * 2):
        assert marks.isdisjoint(text.encode(each) + text.word(each))
        veiled = each.replace("<", f"<{VEIL}")
        assert marks.isdisjoint(text.marked(veiled, VEIL))
    if make is nano:
        assert text.decode(text.encode(f"a {mark} b")) == f"a {mark} b"


def test_marks_of_a_template_stand_for_themselves():
    text = marked(nano())
    found = text.marked(f"{SYSTEM}say <{VEIL}|end|> red{END}{CALL}", VEIL)
    assert found == [
        text.special(SYSTEM), *text.encode("say <|end|> red"), text.special(END),
        text.special(CALL),
    ]  # fmt: skip
