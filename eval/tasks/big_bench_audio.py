"""Big Bench Audio: a thousand spoken questions of BIG-Bench Hard.

`right` finds the final answer by rule; `judged` asks a judge whether it is right. The
published figures are by a judge whose prompt is not public, so neither is official. A
question is streamed, then 20 s of silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from eval.ears import Ears
from eval.formulas import ratings
from eval.formulas.closed_answer import final
from eval.judge import Judge
from eval.layouts import big_bench_audio
from eval.record import Record
from eval.sample import Fault, Sample
from eval.spoken import response
from eval.task import ANY, Asked, Metric, Row

PROMPT = """Somebody answered a question of {category}. The right answer is: {answer}

What was answered:
{response}

Is its final answer the right one? Reply with Yes or No alone."""
PUBLISHED = {  # benchmarks of May 2026; with a model in the background: 96.5
    "TML-Interaction-Small": 75.7,
    "GPT-Realtime-2 minimal": 71.8,
    "GPT-Realtime-1.5": 81.4,
    "Gemini 3.1 Live minimal": 71.3,
    "Qwen3.5-Omni": 73.0,
}


@dataclass(frozen=True)
class BigBenchAudio:
    about: str = "spoken questions of BIG-Bench Hard; right answers"
    version: int = 1
    synthetic: bool = False
    published: dict = field(
        default_factory=lambda: {k: {"judged": v} for k, v in PUBLISHED.items()}
    )
    source: str = "Thinking Machines Lab, interaction models"

    metrics = {
        "right": Metric(up=True, unit="%", about="by rule"),
        "judged": Metric(
            up=True, judge=ANY, unit="%", about="by a judge, with a prompt of ours"
        ),
        "not_understood": Metric(up=False, unit="%", about="no answer found by rule"),
    }

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        yield from big_bench_audio.samples(asked.data)

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        said, truth = response(record, ears), record.truth
        given = final(said, truth["category"])
        replies = judge.ask(PROMPT.format(**truth, response=said))
        judged = ratings.yes(replies[0]) if replies else None
        if replies and judged is None:
            judge.misread()
        return {
            "right": 100.0 * (given == truth["answer"].strip().lower()),
            "judged": None if judged is None else 100.0 * judged,
            "not_understood": 100.0 * (given is None),
        }

    def known(self, agent: str, sample: Sample) -> Row | None:
        return None


TASK = BigBenchAudio()
