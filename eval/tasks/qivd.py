"""QIVD: a clip whose own sound asks about what it shows.

`judged` asks a judge, with a prompt of ours (the published grader's is not public);
`exact` finds the answer's words in the reply. The clip is streamed from its start, then
20 s of silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from eval.ears import Ears
from eval.formulas import ratings
from eval.judge import Judge
from eval.layouts import qivd
from eval.record import Record
from eval.sample import Fault, Sample
from eval.spoken import response
from eval.task import ANY, Asked, Metric, Row

PROMPT = """Question about a video: {question}
Right answer: {answer}
Given answer: {response}

Does the given answer say the same as the right one? Reply with Yes or No alone."""
PUBLISHED = {
    "TML-Interaction-Small": 54.0,
    "GPT-Realtime-2 minimal": 57.5,
    "GPT-Realtime-1.5": 41.2,
    "Gemini 3.1 Live minimal": 54.7,
    "Qwen3.5-Omni": 59.0,
}


def plain(text: str) -> list[str]:
    """Words, in lower case, without articles and signs."""
    words = re.findall(r"[a-z0-9']+", text.lower())
    return [word for word in words if word not in ("a", "an", "the")]


def holds(reply: str, answer: str) -> bool:
    """The answer's words stand in the reply, side by side."""
    said, wanted = plain(reply), plain(answer)
    return bool(wanted) and any(
        said[i : i + len(wanted)] == wanted for i in range(len(said) - len(wanted) + 1)
    )


@dataclass(frozen=True)
class Qivd:
    about: str = "questions in a clip's own sound, about what it shows"
    version: int = 1
    synthetic: bool = False
    published: dict = field(
        default_factory=lambda: {k: {"judged": v} for k, v in PUBLISHED.items()}
    )
    source: str = "Thinking Machines Lab, interaction models"

    metrics = {
        "judged": Metric(
            up=True, judge=ANY, unit="%", about="by a judge, with a prompt of ours"
        ),
        "exact": Metric(up=True, unit="%", about="the answer's words are in the reply"),
    }

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        yield from qivd.samples(asked.data, asked.columns)

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        said, truth = response(record, ears), record.truth
        replies = judge.ask(PROMPT.format(**truth, response=said))
        judged = ratings.yes(replies[0]) if replies else None
        if replies and judged is None:
            judge.misread()
        return {
            "judged": None if judged is None else 100.0 * judged,
            "exact": 100.0 * holds(said, truth["answer"]),
        }

    def known(self, agent: str, sample: Sample) -> Row | None:
        return None


TASK = Qivd()
