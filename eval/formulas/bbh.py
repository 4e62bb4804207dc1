"""Yes or no, or (a) or (b), in an answer to a BIG-Bench Hard question, as VoiceBench's
`bbh` evaluator finds it."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from eval.formulas.ifeval import untagged
from eval.formulas.phrases import phrases

# In the order in which the official code looks for them in a question's id.
TASKS = {
    "sports_understanding": "sports",
    "hyperbaton": "hyperbaton",
    "navigate": "navigate",
    "web_of_lies": "lies",
}
TRUTH = {"yes": 1, "no": 0, "(a)": 0, "(b)": 1}


class _Rule(NamedTuple):
    kind: str
    phrase: str
    answer: int

    def fits(self, text: str) -> bool:
        if self.kind == "=":
            return text == self.phrase
        if self.kind == "^":
            return text.startswith(self.phrase)
        if self.kind == "$":
            return text.endswith(self.phrase)
        if self.kind == "~":
            return re.search(self.phrase, text) is not None
        return self.phrase in text


def _rule(text: str, answer: int) -> _Rule:
    kind = text[0] if text[0] in "=^$~" else ""
    return _Rule(kind, text[len(kind) :], answer)


@functools.cache
def _rules(task: str) -> tuple[_Rule, ...]:
    rules = []
    for line in phrases("bbh")[task]:
        if isinstance(line, str):
            for i in (0, 1):
                rules.append(_rule(re.sub(r"<(\w+)\|(\w+)>", rf"\{1 + i}", line), i))
        else:
            rules.append(_rule(line[1], line[0]))
    return tuple(rules)


def normalised(response: str) -> str:
    text = response.lower()
    if text.endswith("<|user|>"):
        text = text[:-8].strip()
    text = untagged(text).replace("<|turn_end|>", "")
    return " ".join(re.sub(r'\*\*|[:"\-,.：]', " ", text).split())


def task_of(id_: str) -> str | None:
    return next((task for name, task in TASKS.items() if name in id_), None)


def answered(response: str, task: str) -> int | None:
    """0 for no and (a), 1 for yes and (b); None where neither is found, for which the
    official code guesses. task: of `task_of`."""
    text = normalised(response)
    first = () if task == "hyperbaton" else _rules("yn")
    for rule in (*first, *_rules(task)):
        if rule.fits(text):
            return rule.answer
    return None
