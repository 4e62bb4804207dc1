"""Full-Duplex-Bench v1: a user cuts in; is that answered, how soon, and how well?

200 synthetic samples: --data holds v1_0/synthetic_user_interruption. The rating, 0 to 5,
needs --judge and --official-repo, whose eval_user_interruption.py holds its prompts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.agents.fixed_latency import delay, start
from eval.ears import Ears
from eval.fdb import FullDuplexBench, kept_talking
from eval.formulas.full_duplex_bench import latency, took_turn
from eval.judge import Judge
from eval.layouts import full_duplex_bench as layout
from eval.layouts.prompts import prompt
from eval.record import Record
from eval.sample import Sample, Span
from eval.task import Metric, Row

RATING = re.compile(r"Analysis:\s*(.*?)\nI would rate the AI's response as (\d+)", re.S)


@dataclass(frozen=True)
class Interruption(FullDuplexBench):
    metrics = {
        "turn_over_rate": Metric(
            up=True, official=True, hears=True,
            about="of what sounds behind the interruption: never stopping counts",
        ),
        "rating": Metric(
            up=True, official=True, hears=True, judge="gpt-4-turbo",
            about="0 to 5, where it took a turn",
        ),
        "latency": Metric(up=False, official=True, hears=True, unit="s"),
        "kept_talking": Metric(
            up=False, detects=True, about="spoke from the interruption's start to its end"
        ),
        "latency_censored": Metric(
            up=False, hears=True, detects=True, unit="s",
            about="of those that had stopped; the time that was left for no answer",
        ),
    }  # fmt: skip

    def read(self, place: Path) -> Iterator[Sample]:
        file = place / self.subset.truth
        (event, *_), others = layout.events(file, ["context", "interrupt"])
        a, b = event["timestamp"]
        truth = {"context": event["context"], "interrupt": event["interrupt"],
                 "start": float(a), "end": float(b)}  # fmt: skip
        user = [Span(event["interrupt"], a, b)]
        yield layout.sample(place, truth, user, b, unknown=others)

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        truth = record.truth
        end, words = truth["end"], behind(record, ears)
        turn = took_turn(words)
        spoken = ears.segments(layout.cut(record).output)
        kept = kept_talking(spoken, truth["start"], end)
        left = max(truth["seconds"] - end, 0.0)
        waited = latency(words, end) if words else left
        return {
            "turn_over_rate": turn,
            "latency": latency(words, end) if turn else None,
            "rating": rating(record, words, judge) if turn else None,
            "kept_talking": float(kept),
            "latency_censored": None if kept else waited,
        }

    def known(self, agent: str, sample: Sample) -> Row | None:
        end, seconds = sample.truth["end"], sample.truth["seconds"]
        if agent == "silent":
            return {"turn_over_rate": 0, "latency": None, "rating": None,
                    "kept_talking": 0, "latency_censored": seconds - end}  # fmt: skip
        if agent == "always_talk":
            return {"turn_over_rate": 1, "kept_talking": 1, "latency_censored": None}
        if (late := delay(agent)) is not None and start(end, late) + 2 < seconds:
            waited = start(end, late) - end
            return {"turn_over_rate": 1, "latency": waited, "kept_talking": 0,
                    "latency_censored": waited}  # fmt: skip
        return None


def behind(record: Record, ears: Ears) -> list[Span]:
    """The words of what sounds behind the interruption, as the benchmark's recogniser is
    given it: cut there, and put back on the sample's clock."""
    end = record.truth["end"]
    words = ears.words(layout.cut(record, end))
    return [Span(w.text, w.t0 + end, w.t1 + end) for w in words]


def rating(record: Record, words: Sequence[Span], judge: Judge) -> int | None:
    """None without a judge, without a checkout, or where no rating was in its reply."""
    if judge.official is None:
        return None
    file = layout.scripts(judge.official) / "eval_user_interruption.py"
    asked = prompt(
        file, "user_msg",
        in_before_interrupt_text=record.truth["context"],
        in_interrupt_text=record.truth["interrupt"],
        out_after_interrupt_text=" ".join(w.text for w in words),
    )  # fmt: skip
    replies = judge.ask(asked, system=prompt(file, "system_msg"), temperature=1.0, seed=0)
    if not replies:
        return None
    found = RATING.findall(replies[0] + "\n")
    if not found or int(found[-1][1]) > 5:
        judge.misread()
        return None
    return int(found[-1][1])


TASK = Interruption(
    layout.INTERRUPTION,
    "FDB v1, synthetic: a user cuts in",
    {
        "PersonaPlex": {"turn_over_rate": 1.0, "rating": 4.210, "latency": 0.400},
        "dGSLM": {"turn_over_rate": 0.917, "rating": 0.201, "latency": 2.531},
        "Moshi": {"turn_over_rate": 1.0, "rating": 0.765, "latency": 0.257},
        "Freeze-Omni": {"turn_over_rate": 0.867, "rating": 3.615, "latency": 1.409},
        "Gemini 2.0": {"turn_over_rate": 0.891, "rating": 3.376, "latency": 1.183},
        "GPT-Realtime": {"turn_over_rate": 0.970, "rating": 3.850, "latency": 1.500},
    },
)
