"""Train the nano vocabulary on the synthetic world's own words.

python -m interaction.data.tokenizer --output=interaction/assets/nano/tokenizer.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from interaction.data import world
from interaction.errors import run_command
from interaction.modality import text

SIZE = 608
DIALOGUES = 400


def lines(dialogues: int) -> list[str]:
    """Every utterance of the first dialogues, each word led by a space."""
    found = []
    for index in range(dialogues):
        for utterance in world.dialogue(0, index).utterances:
            found.append("".join(" " + word.text for word in utterance.words))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()
    tokenizer = text.train(lines(DIALOGUES), SIZE)
    tokenizer.save(args.output)
    print(f"{args.output}: {tokenizer.size} entries")
    return 0


if __name__ == "__main__":
    run_command(main)
