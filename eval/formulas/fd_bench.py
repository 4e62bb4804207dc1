"""FD-Bench (Peng et al., arXiv 2507.19040), from what its figures mean.

Times are samples at 16 kHz. A round is one utterance of the user's. Whoever talks when it
begins is interrupted, and has stopped when their speech ends in it or, behind it, answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

EARLY = 8_000  # speech that begins more than half a second before the user's end is early
QUIET = 40_000  # from the end of a needless stop to the user's next words, at least
SHORT = 88_000  # speech that a noise stopped is shorter
PER_MS = 16

Stretch = tuple[int, int]


@dataclass
class Marks:
    """Of one conversation. after: in answer to an interruption; early: speech that broke
    into the user's; noise: stops that nobody asked for. Delays: from the user's end to an
    answer; by how much an answer, or early speech, came before that end; until the
    system stopped."""

    rounds: int
    replies: int = 0
    after: int = 0
    interruptions: int = 0
    stopped: int = 0
    early: int = 0
    noise: int = 0
    reply_delays: list[int] = field(default_factory=list)
    leads: list[int] = field(default_factory=list)
    early_leads: list[int] = field(default_factory=list)
    stop_delays: list[int] = field(default_factory=list)


@dataclass
class _Round:
    """What has happened while one utterance of the user's is gone through."""

    marks: Marks
    interrupted: bool = False
    replied: int | None = None
    led: int | None = None
    replied_after: int | None = None
    led_after: int | None = None
    stop: int | None = None

    def stops(self, delay: int) -> None:
        if self.stop is None:
            self.stop = delay
            self.marks.stopped += 1

    def answers(self) -> bool:
        """Whether it is the first answer to an interruption."""
        first = self.replied_after is None and self.led_after is None
        if first:
            self.marks.after += 1
            self.interrupted = False
        return first

    def close(self) -> None:
        marks = self.marks
        marks.reply_delays += [d for d in (self.replied, self.replied_after) if d]
        marks.leads += [d for d in (self.led, self.led_after) if d]
        marks.stop_delays += [self.stop] if self.stop else []


def _within(one: _Round, user: Stretch, said: Stretch) -> None:
    """Speech that begins while the user talks."""
    (u0, u1), (a0, a1) = user, said
    if a0 < u1 - EARLY:
        one.marks.early += 1
        one.marks.early_leads.append(u1 - a0)
        if a1 < u1 and one.stop is None:
            one.marks.interruptions += 1
            one.interrupted = True
            one.stops(a1 - a0)
    elif not one.interrupted:
        one.marks.replies += 1
        one.led = u1 - a0
    elif one.answers():
        one.led_after = u1 - a0
        one.stops(a1 - u0)


def _behind(one: _Round, user: Stretch, said: Stretch) -> None:
    """Speech that begins when the user has ended."""
    (u0, u1), (a0, a1) = user, said
    if not one.interrupted:
        if one.replied is None:
            one.marks.replies += 1
            one.replied = a0 - u1
    elif one.answers():
        one.replied_after = a0 - u1
        one.stops(a1 - u0)


def _round(
    marks: Marks, user: Stretch, after: int | None, system: Sequence[Stretch]
) -> None:
    """after: when the user's next utterance begins; None for the last one."""
    one, (u0, u1) = _Round(marks), user
    for said in system:
        a0, a1 = said
        if a0 < u0 < a1:
            marks.interruptions += 1
            one.interrupted = True
        if u0 < a0 < u1:
            _within(one, user, said)
        elif a0 < u0:
            if one.interrupted and u0 < a1 and (after is None or a1 <= u1):
                one.stops(a1 - u0)
        elif u1 < a0 and (after is None or a0 < after):
            _behind(one, user, said)
    one.close()


def analyse(user: Sequence[Stretch], system: Sequence[Stretch]) -> Marks:
    """Both in order."""
    marks = Marks(len(user))
    nexts = [*(u0 for u0, _ in user[1:]), None]
    for utterance, after in zip(user, nexts, strict=False):
        _round(marks, utterance, after, system)
        if after is not None:
            marks.noise += sum(
                utterance[1] < a1 < after and after - a1 >= QUIET and a1 - a0 < SHORT
                for a0, a1 in system
            )
    return marks
