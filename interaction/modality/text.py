"""Text through `tokenizers`: a byte-level BPE in a `tokenizer.json`, ours or Inkling's.

Tokens that were added to a vocabulary, `<|end_message|>` and the like, are marks: they
steer a model. Plain text never becomes one, whatever stands in it; only what a chat
template wrote does (`Text.marked`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from interaction.errors import InputError


class Text:
    """A tokenizer with the one convention of spoken words: each starts with a space."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def open(cls, path: Path | str) -> Text:
        """Raises InputError when the file is missing or is no tokenizer.json."""
        if not Path(path).is_file():
            raise InputError(f"no tokenizer at {path}; give a directory that has one")
        try:
            return cls(Tokenizer.from_file(str(path)))
        except Exception as error:  # the library raises bare Exception
            raise InputError(f"{path} is not a tokenizer.json: {error}") from None

    @property
    def size(self) -> int:
        return self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Tokens of plain text, in which no mark stands for itself."""
        ids = self._plain.encode(text, add_special_tokens=False).ids
        return [i for t in ids for i in (self._spelled(t) if t in self._marks else [t])]

    def marked(self, text: str, veil: str) -> list[int]:
        """Tokens of text with marks. veil: a character that stands in what looks like one
        and is none; it is left out."""
        found = self._tokenizer.encode(text, add_special_tokens=False)
        ids: list[int] = []
        piece: list[int] = []
        at = 0  # where the piece begins
        for token, (start, end) in zip(found.ids, found.offsets, strict=True):
            # A normalizer may see a mark in other characters.
            if self._marks.get(token, "") == text[start:end].strip() != "":
                ids += self._unveiled(text[at:start], piece, veil) + [token]
                piece, at = [], end
            else:
                piece.append(token)
        return ids + self._unveiled(text[at:], piece, veil)

    def _unveiled(self, text: str, tokens: list[int], veil: str) -> list[int]:
        """What stands between marks: its tokens, unless there is something to mend."""
        if veil in text or not self._marks.keys().isdisjoint(tokens):
            return self.encode(text.replace(veil, ""))
        return tokens

    def starts(self) -> frozenset[str]:
        """Characters that marks begin with."""
        return frozenset(mark[0] for mark in self._marks.values() if mark)

    @cached_property
    def _marks(self) -> dict[int, str]:
        added = self._tokenizer.get_added_tokens_decoder()
        return {token: each.content.strip() for token, each in added.items()}

    @cached_property
    def _plain(self) -> Tokenizer:
        """The same, and nothing has been added to it."""
        if not self._marks:
            return self._tokenizer
        made = json.loads(self._tokenizer.to_str()) | {"added_tokens": []}
        # What it puts around texts may be marks, and is never asked for.
        return Tokenizer.from_str(json.dumps(made | {"post_processor": None}))

    def _spelled(self, mark: int) -> list[int]:
        """A mark that is a word of the vocabulary too, by its characters."""
        letters = self._tokenizer.decode([mark], skip_special_tokens=False)
        spelled = [self._plain.encode(each, add_special_tokens=False) for each in letters]
        return [token for each in spelled for token in each.ids if token not in self._marks]

    def word(self, word: str) -> list[int]:
        """Tokens of one spoken word."""
        return self.encode(" " + word)

    def special(self, name: str) -> int | None:
        """The token of this name, where there is one."""
        return self._tokenizer.token_to_id(name)

    def decode(self, ids: Iterable[int]) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def save(self, path: Path | str) -> None:
        self._tokenizer.save(str(path))


def train(lines: Iterable[str], size: int) -> Text:
    """A byte-level BPE of exactly `size` entries at most, from lines of text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    return Text(tokenizer)
