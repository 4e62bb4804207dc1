"""Text through `tokenizers`: a byte-level BPE in a `tokenizer.json`, ours or Inkling's."""

from __future__ import annotations

from collections.abc import Iterable
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
        return self._tokenizer.encode(text, add_special_tokens=False).ids

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
