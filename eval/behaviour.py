"""What a system did in a synthetic dialogue against what had to happen.

Times are stream time in seconds as the listener hears them. Nothing is excused: an
exchange in which the system never answers counts against every rate it is part of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from interaction.data.dialogue import Dialogue, Exchange

TURN_S = 0.2
YIELD_S = 0.6  # a barge-in is obeyed within this
EARLY_S = 0.2  # a start this close after the user's own start is left over from before
TIMED_S = 0.4  # a timed word may be this far off

ANSWERED = {
    "echo": "echo",
    "arithmetic": "arithmetic",
    "vision_color": "seen",
    "vision_count": "seen",
    "count": "count",
    "timed": "timed",
}


@dataclass(frozen=True)
class Turn:
    """One output frame: `speaks` over [t, t + 0.2), words written, playback dropped."""

    t: float
    speaks: bool
    text: str
    cleared: bool


@dataclass
class Tally:
    """Counts and values over many dialogues. rates: name -> list of 0/1."""

    rates: dict[str, list[int]] = field(default_factory=dict)
    onsets: list[float] = field(default_factory=list)

    def add(self, name: str, ok: bool) -> None:
        self.rates.setdefault(name, []).append(int(ok))


def starts(turns: Sequence[Turn]) -> list[float]:
    """When the system begins to speak, each time."""
    before = [False, *(turn.speaks and not turn.cleared for turn in turns)]
    pairs = zip(turns, before, strict=False)
    return [turn.t for turn, spoke in pairs if turn.speaks and not spoke]


def words(turns: Sequence[Turn], t0: float, t1: float) -> list[str]:
    """Words written for frames that play in [t0, t1)."""
    return "".join(turn.text for turn in turns if t0 <= turn.t < t1).split()


def score(dialogue: Dialogue, turns: Sequence[Turn], tally: Tally) -> list[Answer]:
    """Add one dialogue to the tally; return its right answers with their onsets."""
    right = []
    ends = [e.utterance_t0 for e in dialogue.exchanges[1:]]
    ends.append(turns[-1].t + TURN_S)
    interrupts = False  # whether this exchange is itself a barge-in
    for exchange, end in zip(dialogue.exchanges, ends, strict=True):
        t0 = exchange.utterance_t0
        if interrupts:
            t0 = _after_yield(turns, exchange)
        if exchange.barge_in is not None:
            _score_yield(exchange, turns, tally)
        elif exchange.answer is not None:
            answer = _score_answer(exchange, turns, t0, end, tally)
            if answer:
                right.append(answer)
        else:
            _score_silence(exchange, turns, t0, end, interrupts, tally)
        interrupts = exchange.barge_in is not None
    return right


@dataclass(frozen=True)
class Answer:
    """An answer that was right by text, and when its sound began."""

    text: str
    onset: float


def _after_yield(turns: Sequence[Turn], exchange: Exchange) -> float:
    """When the answer cut off by this exchange's first words stopped sounding."""
    for turn in turns:
        if turn.t >= exchange.utterance_t0 and (turn.cleared or not turn.speaks):
            return turn.t
    return exchange.utterance_t0


def _score_yield(exchange: Exchange, turns: Sequence[Turn], tally: Tally) -> None:
    barge = exchange.barge_in
    speaking = any(t.speaks and t.t <= barge < t.t + TURN_S for t in turns)
    tally.add("was speaking at a barge-in", speaking)
    if speaking:
        stop = _after_yield(turns, _at(exchange, barge))
        tally.add("yields to a barge-in", stop - barge <= YIELD_S)


def _at(exchange: Exchange, t0: float) -> Exchange:
    return Exchange(exchange.task, t0, exchange.question_end, None, None)


def _score_answer(
    exchange: Exchange, turns: Sequence[Turn], t0: float, end: float, tally: Tally
) -> Answer | None:
    task = ANSWERED[exchange.task]
    said = words(turns, t0, end)
    exact = said == exchange.answer.split()
    begun = [t for t in starts(turns) if t0 <= t < end]
    asked = [t for t in begun if t >= exchange.utterance_t0 + EARLY_S]
    early = any(t < exchange.question_end for t in asked)
    tally.add("starts mid-sentence", early)
    for a, _ in exchange.pauses:
        survived = not any(a <= t < exchange.question_end for t in asked)
        tally.add("pause survived", survived)
    onset = next((t for t in begun if t >= exchange.question_end - 0.1), None)
    if task == "timed":
        on_time = onset is not None and abs(onset - exchange.onset) <= TIMED_S
        tally.add("timed", exact and on_time)
    else:
        tally.add(task, exact)
        late = onset - exchange.question_end if onset is not None else np.inf
        tally.onsets.append(late)
    return Answer(exchange.answer, onset) if exact and onset is not None else None


def _score_silence(
    exchange: Exchange,
    turns: Sequence[Turn],
    t0: float,
    end: float,
    hushed: bool,
    tally: Tally,
) -> None:
    """Silence is broken by a *new* start; speech that was running is the yield's."""
    broke = any(t0 + EARLY_S * (not hushed) <= t < end for t in starts(turns))
    tally.add("stays silent" if not hushed else "stays silent after a hush", not broke)
