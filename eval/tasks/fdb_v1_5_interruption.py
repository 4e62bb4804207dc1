"""Full-Duplex-Bench v1.5: a user cuts in while the system speaks. It should respond.

200 samples: --data holds v1_5/user_interruption. Each is run twice, as it is and without
its second event (named ID.clean), which counts twice towards --limit. What a system did
needs --judge and --official-repo, whose instruction/behavior.txt is the judge's prompt.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eval import record as records
from eval.ears import Ears
from eval.fdb import FullDuplexBench, kept_talking
from eval.formulas.full_duplex_bench import BEHAVIOURS, Interval, timing
from eval.judge import Judge
from eval.layouts import full_duplex_bench as layout
from eval.layouts.full_duplex_bench import CLEAN
from eval.record import Record
from eval.sample import Fault, Sample, Span
from eval.task import Metric, Row

TRIES = 3  # of a judge whose reply cannot be read; the official code never gives up
JUDGE = "gpt-4o-2024-08-06"
NAMES = dict(zip(BEHAVIOURS, ("respond", "resume", "uncertain", "unknown"), strict=True))


def metrics(headline: str, keep_on: bool) -> Mapping[str, Metric]:
    """headline: what a system should do; keep_on: whether it should speak on."""
    ordered = {headline, *NAMES.values()}
    behaviours = {
        name: Metric(
            up=name == headline, hears=True, judge=JUDGE,
            about="the user's words are those of metadata.json, not recognised",
        )
        for name in sorted(ordered, key=lambda name: name != headline)
    }  # fmt: skip
    event, every = "of stretches at the annotated event", "of all stretches of a sample"
    return behaviours | {
        "stop": Metric(up=None if keep_on else False, detects=True, unit="s", about=event),
        "response": Metric(up=False, detects=True, unit="s", about=event),
        "stop_all": Metric(up=None, detects=True, unit="s", about=every),
        "response_all": Metric(up=None, detects=True, unit="s", about=every),
        "kept_talking": Metric(
            up=keep_on, detects=True, about="spoke from the event's start to its end"
        ),
    }  # fmt: skip


@dataclass(frozen=True)
class Overlap(FullDuplexBench):
    """The official code gives lists of stretches, and no one number: the means are ours."""

    metrics: Mapping[str, Metric] = field(kw_only=True)
    source: str = "arXiv 2507.23159 v4, table 2"

    def read(self, place: Path) -> Iterator[Sample]:
        file = place / self.subset.truth
        about = layout.read_json(file)
        fields = ["context_text", "current_turn_text", "timestamps"]
        others = layout.check(file, about, fields)
        a, b = map(float, about["timestamps"])
        context = Span(about["context_text"], 0.0, a)
        event = Span(about["current_turn_text"], a, b)
        pair = [
            layout.sample(
                place, {"start": a, "end": b}, [context, event], b, unknown=others
            ),
            layout.sample(place, {}, [context], clean=True, unknown=others),
        ]
        yield from pair

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        if record.id.endswith(CLEAN):
            return {}  # it is there for the judge of the other
        whole = layout.cut(record)
        start, end = record.truth["start"], record.truth["end"]
        spoken = ears.segments(whole.output)
        lists = timing(ears.segments(whole.input), spoken)
        stops = [(a, b) for a, b in lists.stops if a < end and b > start]
        responses = [(a, b) for a, b in lists.responses if a >= start][:1]
        return {
            **dict.fromkeys(NAMES.values()),
            **behaviour(record, ears, judge),
            "stop": _mean(stops),
            "response": _mean(responses),
            "stop_all": _mean(lists.stops),
            "response_all": _mean(lists.responses),
            "kept_talking": float(kept_talking(spoken, start, end)),
        }

    def known(self, agent: str, sample: Sample) -> Row | None:
        if sample.id.endswith(CLEAN):
            return {}
        if agent == "silent":
            return {"stop": None, "response": None, "kept_talking": 0}
        return {"kept_talking": 1} if agent == "always_talk" else None


def _mean(stretches: Sequence[Interval]) -> float | None:
    lengths = [b - a for a, b in stretches]
    return sum(lengths) / len(lengths) if lengths else None


def behaviour(record: Record, ears: Ears, judge: Judge) -> dict[str, float]:
    """1 for what the judge saw, 0 for the rest. Empty without a judge, a checkout, the run
    without the event, or a reply that can be read."""
    clean = records.load(record.path.with_name(record.id + CLEAN))
    if judge.official is None or isinstance(clean, Fault):
        return {}
    file = layout.scripts(judge.official) / "instruction" / "behavior.txt"
    heard = {
        "input_clean": clean.user,
        "input_noisy": record.user,
        "output_clean": ears.words(layout.cut(clean)),
        "output_noisy": ears.words(layout.cut(record)),
    }
    asked = json.dumps({name: layout.transcript(words) for name, words in heard.items()})
    for seed in range(1, TRIES + 1):
        replies = judge.ask(asked, system=layout.text(file), temperature=1.0, seed=seed)
        if not replies:
            return {}
        seen = seen_in(replies[0])
        if seen:
            return {name: float(tag == seen) for tag, name in NAMES.items()}
        judge.misread()
    return {}


def seen_in(reply: str) -> str | None:
    """The one behaviour that a reply names, in the first JSON object that has any."""
    decoder, at = json.JSONDecoder(), reply.find("{")
    while at >= 0:
        try:
            found, end = decoder.raw_decode(reply, at)
        except ValueError:
            found, end = {}, at + 1
        if "behaviour" in found:
            tags = found["behaviour"]
            one = tags[0] if isinstance(tags, list) and len(tags) == 1 else tags
            return one if one in BEHAVIOURS else None
        at = reply.find("{", end)
    return None


TASK = Overlap(
    layout.overlap("user_interruption"),
    "FDB v1.5: a user cuts in",
    {"GPT-4o": {"respond": 0.78, "resume": 0.10, "stop": 0.23, "response": 1.50}},
    metrics=metrics("respond", keep_on=False),
)
