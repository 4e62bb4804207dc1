"""The right words at the right time: one expected meaning and one window a sample.

Both or nothing. Words are compared as text; a judge, where there is one, also says whether
others mean the same. How much hangs on the width of windows is told by a curve: the same
rate with windows that are wider by 0.5, 1 and 2 s on either side.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from eval.agents.fixed_latency import delay
from eval.ears import Ears
from eval.formulas import ratings
from eval.judge import Judge
from eval.record import Record
from eval.sample import Sample, Span
from eval.task import ANY, Metric, Row, mean_of
from eval.utterances import plain, utterances

WIDER = {"0_5s": 0.5, "1s": 1.0, "2s": 2.0}
HEADLINE = "0_5s"
Window = tuple[float, float]
RATE = """A voice assistant was asked to say something. Does what it said, `said`, mean the
same as one of `accepted`, with nothing else added? Reply with Yes or No alone.

"""


def means(text: str, accepted: Sequence[str]) -> bool:
    """Whether it says one of these, and nothing else."""
    return plain(text) in [plain(other) for other in accepted]


def within(t: float, window: Window, wider: float) -> bool:
    return window[0] - wider <= t <= window[1] + wider


def on_time(
    said: Sequence[Span], accepted: Sequence[str], window: Window, wider: float
) -> bool:
    """Whether an utterance that begins in the window has the meaning."""
    return any(within(u.t0, window, wider) and means(u.text, accepted) for u in said)


def measured(
    said: Sequence[Span], family: str, accepted: Sequence[str], window: Window,
    besides: Sequence[Window] = (),
) -> Row:  # fmt: skip
    """A row. besides: where else the instruction has the system speak."""
    row: dict[str, float | None] = {}
    for name, wider in WIDER.items():
        right = float(on_time(said, accepted, window, wider))
        row |= {f"right_{name}": right, f"{family}_{name}": right}
    tolerance = WIDER[HEADLINE]
    stray = any(
        not any(within(u.t0, w, tolerance) for w in (window, *besides)) for u in said
    )
    times = [u.t0 for u in said if means(u.text, accepted)]
    off = [max(window[0] - t, t - window[1], 0.0) for t in times]
    return row | {
        "meant": float(bool(times)),
        "only": float(bool(row[f"right_{HEADLINE}"]) and not stray),
        "off": min(off) if off else None,
    }


def judged(
    said: Sequence[Span], accepted: Sequence[str], window: Window, judge: Judge
) -> float | None:
    """1 where a judge takes an utterance that begins in the window for the meaning, else 0.
    None without a judge, or where it did not say."""
    if judge.name == "none":
        return None
    for u in said:
        if within(u.t0, window, WIDER[HEADLINE]):
            about = json.dumps({"accepted": list(accepted), "said": u.text})
            replies = judge.ask(RATE + about)
            means_it = ratings.yes(replies[0]) if replies else None
            if means_it is None:
                if replies:
                    judge.misread()
                return None
            if means_it:
                return 1.0
    return 0.0


def measure(record: Record, ears: Ears, judge: Judge) -> Row:
    """Of a sample whose truth has family, expected, aliases, window, maybe besides."""
    truth, said = record.truth, utterances(ears.words(record))
    family, window = truth["family"], truth["window"]
    accepted = [truth["expected"], *truth["aliases"]]
    row = measured(said, family, accepted, window, truth.get("besides", ()))
    return dict(row) | {f"{family}_judged": judged(said, accepted, window, judge)}


def known(agent: str, sample: Sample) -> Row | None:
    """What `measured` must give: only an oracle knows the words."""
    rights = [f"right_{name}" for name in WIDER]
    rights.append(f"{sample.truth['family']}_{HEADLINE}")
    if agent in ("silent", "parrot", "always_talk") or delay(agent) is not None:
        return dict.fromkeys([*rights, "meant", "only"], 0.0) | {"off": None}
    if agent == "oracle":
        return dict.fromkeys([*rights, "meant", "only"], 1.0) | {"off": 0.0}
    return None


def metrics(families: Sequence[str]) -> dict[str, Metric]:
    shown: dict[str, Metric] = {}
    for name, wider in WIDER.items():
        columns = [f"{family}_{name}" for family in families]
        about = f"right words within {wider:g} s of their window; mean of families"
        shown[f"macro_{name}"] = Metric(True, hears=True, of=mean_of(columns), about=about)
    for name, wider in WIDER.items():
        about = f"the same with {wider:g} s, over all samples"
        shown[f"right_{name}"] = Metric(True, hears=True, about=about)
    for family in families:
        about = f"within {WIDER[HEADLINE]:g} s, of this family"
        shown[f"{family}_{HEADLINE}"] = Metric(True, hears=True, about=about)
    columns = [f"{family}_judged" for family in families]
    return shown | {
        "macro_judged": Metric(
            True, hears=True, judge=ANY, of=mean_of(columns),
            about=f"meaning by a judge, within {WIDER[HEADLINE]:g} s; mean of families",
        ),
        "meant": Metric(True, hears=True, about="the right words, at any time"),
        "only": Metric(True, hears=True, about="on time, and nothing at other times"),
        "off": Metric(False, hears=True, unit="s", about="from the window, where meant"),
    }  # fmt: skip
