"""The letter in an answer to a multiple-choice question, as VoiceBench's `mcq` evaluator
finds it (MMSU, OpenBookQA)."""

from __future__ import annotations

from eval.formulas.ifeval import untagged
from eval.formulas.phrases import phrases

CHOICES = "ABCD"


def chosen(response: str) -> str | None:
    """A to D; None where no letter is found, for which the official code guesses."""
    text = untagged(response.lower())
    letters = CHOICES.lower()
    for phrase in phrases("mcq"):
        for letter in letters:
            if phrase.replace("<>", letter) in text:
                return letter.upper()
    for letter in letters:
        if text == letter or text.startswith(tuple(letter + c for c in ".,:)")):
            return letter.upper()
    return None
