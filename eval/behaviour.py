"""What a system did in a synthetic dialogue against what had to happen.

Times are stream time in seconds as the listener hears them. An exchange that the system
leaves unanswered counts against every rate it is part of, and its onset is infinite. The
words of an answer that a barge-in cuts off are the one thing not scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from interaction.data.dialogue import Dialogue, Exchange

TURN_S = 0.2
YIELD_S = 0.6  # a barge-in is obeyed within this
EARLY_S = 0.2  # a start this close after the user's own start is left over from before
EDGE_S = 0.1  # an onset this little before the last word's measured end is an answer
TIMED_TURNS = 2  # a timed word may be this far off

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
    """When the system begins to speak, each time; speech after a CLEAR is a new start."""
    before = [False, *(turn.speaks for turn in turns)]
    pairs = zip(turns, before, strict=False)
    return [turn.t for turn, spoke in pairs if turn.speaks and (turn.cleared or not spoke)]


def words(turns: Sequence[Turn], t0: float, t1: float) -> list[str]:
    """Words written for frames that play in [t0, t1)."""
    return "".join(turn.text for turn in turns if t0 <= turn.t < t1).split()


@dataclass(frozen=True)
class Answer:
    """An answer that was right by text, and when its sound began (None: no sound)."""

    text: str
    onset: float | None


def score(dialogue: Dialogue, turns: Sequence[Turn], tally: Tally) -> list[Answer]:
    """Add one dialogue to the tally; return its right answers with their onsets."""
    right = []
    ends = [e.utterance_t0 for e in dialogue.exchanges[1:]]
    ends.append(turns[-1].t + TURN_S)
    barge: float | None = None  # when this exchange itself cut an answer off
    for exchange, end in zip(dialogue.exchanges, ends, strict=True):
        t0 = exchange.utterance_t0 if barge is None else _stop(turns, barge)
        if exchange.answer is None:
            _score_silence(exchange, turns, end, barge, tally)
        else:
            _score_question(exchange, turns, barge is not None, tally)
            onset = _score_onset(exchange, turns, t0, end, tally)
            if exchange.barge_in is not None:
                _score_yield(exchange.barge_in, turns, tally)
            elif _score_answer(exchange, turns, t0, end, onset, tally):
                right.append(Answer(exchange.answer, onset))
        barge = exchange.barge_in
    return right


def _stop(turns: Sequence[Turn], since: float) -> float:
    """When the system falls silent after `since`; infinity for one that talks on."""
    return next((t.t for t in turns if t.t >= since and not t.speaks), np.inf)


def _score_question(
    exchange: Exchange, turns: Sequence[Turn], interrupts: bool, tally: Tally
) -> None:
    """Starts while the user still asks. Speech running into a question asked over it is
    the yield's matter, not this one's."""
    since = exchange.utterance_t0 + EARLY_S
    asked = [t for t in starts(turns) if since <= t < exchange.question_end]
    over = any(
        since <= turn.t and turn.t + TURN_S <= exchange.question_end and turn.speaks
        for turn in turns
    )
    tally.add("starts mid-sentence", bool(asked))
    if not interrupts:
        tally.add("speaks over a question", over)
    for a, _ in exchange.pauses:
        tally.add("pause survived", not any(t >= a for t in asked))


def _score_onset(
    exchange: Exchange, turns: Sequence[Turn], t0: float, end: float, tally: Tally
) -> float | None:
    """First start at or after the question's end. -> onset, None if there is none."""
    limit = end if exchange.barge_in is None else exchange.barge_in
    since = max(t0, exchange.question_end - EDGE_S)
    onset = next((t for t in starts(turns) if since <= t < limit), None)
    if exchange.task != "timed":
        late = np.inf if onset is None else onset - exchange.question_end
        tally.onsets.append(late)
    return onset


def _score_yield(barge: float, turns: Sequence[Turn], tally: Tally) -> None:
    speaking = any(t.speaks and t.t <= barge < t.t + TURN_S for t in turns)
    stopped = speaking and _stop(turns, barge) - barge <= YIELD_S
    tally.add("was speaking at a barge-in", speaking)
    tally.add("yields to a barge-in, of all", stopped)
    if speaking:
        tally.add("yields to a barge-in", stopped)


def _score_answer(
    exchange: Exchange,
    turns: Sequence[Turn],
    t0: float,
    end: float,
    onset: float | None,
    tally: Tally,
) -> bool:
    """-> whether the words are exactly right (and, for a timed word, on time)."""
    assert exchange.answer is not None and exchange.onset is not None  # a question
    task = ANSWERED[exchange.task]
    right = words(turns, t0, end) == exchange.answer.split()
    if task == "timed":
        late = None if onset is None else round((onset - exchange.onset) / TURN_S)
        right = right and late is not None and abs(late) <= TIMED_TURNS
    tally.add(task, right)
    return right


def _score_silence(
    exchange: Exchange, turns: Sequence[Turn], end: float, barge: float | None, tally: Tally
) -> None:
    """Any speech breaks it; after a hush, any speech past the time allowed to yield."""
    since = exchange.utterance_t0 + EARLY_S if barge is None else barge + YIELD_S
    broke = any(turn.speaks and since <= turn.t < end for turn in turns)
    tally.add("stays silent" if barge is None else "stays silent after a hush", not broke)
