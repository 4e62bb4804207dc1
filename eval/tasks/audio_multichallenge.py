"""Audio MultiChallenge: conversations of up to eight turns, by a judge's rubric.

The benchmark gives a model the reference answers as history and rates its last reply. A
full-duplex system cannot take over what another said, so here the whole conversation is
held live, 20 s for each answer, and every figure is a `live_variant`: not comparable with
published ones. APR: conversations in which all items are met; ARS: mean share of items.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from eval.ears import Ears
from eval.formulas import ratings
from eval.judge import Judge
from eval.layouts import audio_multichallenge as layout
from eval.record import Record
from eval.sample import TURN_S, Fault, Sample
from eval.spoken import response
from eval.task import ANY, Asked, Metric, Row

OURS = """A conversation with an assistant:

«conversation_history»

Consider the assistant's last reply alone. Does it meet this?

«rubric_item»

Reply with a JSON object of two fields: "explanation", a text, and "criteria_met", true or
false."""
PUBLISHED = {
    "TML-Interaction-Small": 43.4,
    "GPT-Realtime-2 minimal": 37.6,
    "GPT-Realtime-1.5": 34.7,
    "Gemini 3.1 Live minimal": 26.8,
    "Gemini 3 Pro": 54.65,
}


def conversation(record: Record, ears: Ears) -> list[tuple[str, str]]:
    """(side, text) in turn: what the user said, and what was answered before the next."""
    turns = []
    starts = [span.t0 for span in record.user]
    if ears.own:
        said = list(record.text)
    else:
        said = [(word.t0, f" {word.text}") for word in ears.words(record)]
    for i, span in enumerate(record.user):
        until = starts[i + 1] if i + 1 < len(starts) else record.seconds
        own = [text for t, text in said if span.t0 - TURN_S / 2 < t < until - TURN_S / 2]
        turns += [("user", span.text), ("assistant", "".join(own).strip())]
    return turns


@dataclass(frozen=True)
class AudioMultiChallenge:
    about: str = "conversations of several turns; rubrics that a judge checks"
    version: int = 1
    synthetic: bool = False
    published: dict = field(
        default_factory=lambda: {k: {"apr_live_variant": v} for k, v in PUBLISHED.items()}
    )
    source: str = "Thinking Machines Lab and Scale AI: APR with references as history"

    metrics = {
        "apr_live_variant": Metric(up=True, judge=ANY, unit="%", about="all items met"),
        "ars_live_variant": Metric(
            up=True, judge=ANY, unit="%", about="share of items met"
        ),
        "answered": Metric(up=True, unit="%", about="anything after the last turn"),
    }

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        yield from layout.samples(asked.data)

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        turns = conversation(record, ears)
        history = "\n".join(f"{side}: {text}" for side, text in turns)
        text = record.truth["judge"] or OURS
        met = []
        for item in record.truth["rubric"]:
            asked = text.replace("«conversation_history»", history)
            replies = judge.ask(asked.replace("«rubric_item»", item), temperature=None)
            one = ratings.met(replies[0]) if replies else None
            if replies and one is None:
                judge.misread()
            met.append(one)
        known = [one for one in met if one is not None]
        whole = len(known) == len(met)  # else the conversation has no rating
        return {
            "apr_live_variant": 100.0 * all(known) if whole else None,
            "ars_live_variant": 100.0 * sum(known) / len(known) if whole else None,
            "answered": 100.0 * bool(turns[-1][1] and response(record, ears)),
        }

    def known(self, agent: str, sample: Sample) -> Row | None:
        return None


TASK = AudioMultiChallenge()
