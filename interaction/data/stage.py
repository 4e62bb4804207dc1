"""A plan spoken: sounds on the clock, when the agent answers, yields and stops.

Times here are whole samples at 16 kHz; `Take` holds them until they become a
`Dialogue` in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from interaction.data.acoustics import SPEECH_RMS, decibels, level
from interaction.data.dialogue import Exchange, Lane, Utterance, Word
from interaction.data.espeak import Spoken, agent_speech, speak
from interaction.data.scenes.plan import Aside, Interruption, Picture, Plan
from interaction.data.voices import Voice
from interaction.modality.audio import SAMPLE_RATE, TURN_SAMPLES

ONSET_MARGIN = 1_600  # an answer starts at least 0.1 s after the question's end
YIELD_MARGIN = 4_000  # the agent hears 0.25 s of an interruption before it yields
_INTERRUPT_AFTER_S = 0.5  # of the answer, and as much of it is left at the earliest
_STAY_SILENT_S = 0.6  # after speech that needs no answer
_PAUSE_S = (0.3, 0.9)
_PAUSE_PROBABILITY = 0.3
_SHOW_S = (1.0, 1.6)  # a picture is on camera this long before the question
SHOT_SAMPLES = SAMPLE_RATE  # one pair of frames a second


@dataclass(frozen=True)
class Cast:
    """Who speaks in a dialogue: the user, and some other person."""

    user: Voice
    stranger: Voice


@dataclass(frozen=True, eq=False)
class Sound:
    """An utterance in one channel: f32 samples from `start` on."""

    lane: Lane
    start: int
    wave: np.ndarray
    words: tuple[Word, ...]
    cut: int | None = None

    @property
    def end(self) -> int:
        return self.start + len(self.wave)

    def utterance(self) -> Utterance:
        t = self.start / SAMPLE_RATE
        words = tuple(Word(w.text, t + w.t0, t + w.t1) for w in self.words)
        cut = None if self.cut is None else self.cut / SAMPLE_RATE
        return Utterance(self.lane, words, t, self.end / SAMPLE_RATE, cut)


@dataclass
class Take:
    """What happened up to `end`: sounds, control, truth, and when pictures showed."""

    end: int
    sounds: list[Sound] = field(default_factory=list)
    control: list[tuple[int, str]] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    picture: Picture | None = None
    shots: range = range(0)


def turn_from(sample: int) -> int:
    """The first turn boundary at or after a sample."""
    return -(-sample // TURN_SAMPLES) * TURN_SAMPLES


def least_samples(plan: Plan) -> int:
    """A length that a plan is unlikely to undercut, found without speaking it."""
    heard, said = len(plan.says), len(plan.answer or ())
    seconds = 0.22 * heard + 0.4 * said + (plan.wait_s or 0) + plan.quiet_s + 0.2
    if plan.picture is not None:
        seconds += 2
    if plan.interruption is not None:
        seconds -= 0.4 * said - 1
        seconds += least_samples(plan.interruption.plan) / SAMPLE_RATE
    return int(seconds * SAMPLE_RATE)


def perform(plan: Plan, start: int, cast: Cast, rng: np.random.Generator) -> Take:
    """Speak a plan from `start` on."""
    if not plan.says:
        end = start + int(plan.quiet_s * SAMPLE_RATE)
        nothing = Exchange(plan.task, start / SAMPLE_RATE, end / SAMPLE_RATE, None, None)
        return Take(end, exchanges=[nothing])
    shown = turn_from(start)
    if plan.picture is not None:
        start = shown + int(rng.uniform(*_SHOW_S) * SAMPLE_RATE)
    asked, pauses = ask(plan, start, cast, rng)
    asked_end = asked.end
    take = Take(asked_end + int(_STAY_SILENT_S * SAMPLE_RATE), [asked])
    if plan.aside is not None and plan.aside.over == "pause":
        take.sounds.append(_aside(plan.aside, pauses[0][0], cast))
    answer = None
    if plan.answer is not None:
        answer = answer_to(plan.answer, plan.wait_s, asked_end)
    exchange = Exchange(
        task=plan.task,
        utterance_t0=asked.start / SAMPLE_RATE,
        question_end=asked_end / SAMPLE_RATE,
        answer=None,
        onset=None,
        seen=plan.seen,
        pauses=tuple((a / SAMPLE_RATE, b / SAMPLE_RATE) for a, b in pauses),
        frames=plan.picture is not None,
    )
    take.exchanges.append(exchange)
    if answer is None:
        return take
    take.end = turn_from(answer.end) + TURN_SAMPLES  # the frame of the BREAK exists
    if plan.interruption is not None:
        answer, barge_in = _interrupt(plan.interruption, answer, take, cast, rng)
        exchange = replace(exchange, barge_in=barge_in)
    else:
        take.control.append((turn_from(answer.end), "break"))
    take.sounds.append(answer)
    take.exchanges[0] = replace(
        exchange,
        answer=" ".join(word.text for word in answer.words),
        onset=answer.start / SAMPLE_RATE,
    )
    if plan.aside is not None and plan.aside.over == "answer":
        at = answer.start + int(rng.uniform(0, 0.5) * SAMPLE_RATE)
        take.sounds.append(_aside(plan.aside, at, cast))
    if plan.picture is not None:
        take.picture = plan.picture
        take.shots = range(shown, answer.end + SAMPLE_RATE, SHOT_SAMPLES)
        take.end = max(take.end, take.shots[-1] + TURN_SAMPLES)
    take.end = max(take.end, *(sound.end for sound in take.sounds))
    return take


def _at_level(spoken: Spoken, db: float) -> np.ndarray:
    return level(spoken.wave, SPEECH_RMS * decibels(db))


def ask(
    plan: Plan, start: int, cast: Cast, rng: np.random.Generator
) -> tuple[Sound, list[tuple[int, int]]]:
    """The user's words with a pause in them or not; the pauses, as samples."""
    voice = cast.stranger if plan.stranger else cast.user
    wants_pause = plan.aside is not None and plan.aside.over == "pause"
    breaks = [0, len(plan.says)]
    if plan.may_pause_after and (wants_pause or rng.random() < _PAUSE_PROBABILITY):
        breaks.insert(1, int(rng.choice(plan.may_pause_after)))
    waves: list[np.ndarray] = []
    words: list[Word] = []
    pauses: list[tuple[int, int]] = []
    at = 0
    db = plan.level_db + rng.uniform(-2, 2)
    for first, last in zip(breaks[:-1], breaks[1:], strict=True):
        if waves:
            pause = int(rng.uniform(*_PAUSE_S) * SAMPLE_RATE)
            waves.append(np.zeros(pause, np.float32))
            pauses.append((start + at, start + at + pause))
            at += pause
        spoken = speak(plan.says[first:last], voice)
        t = at / SAMPLE_RATE
        words += [Word(w.text, t + w.t0, t + w.t1) for w in spoken.words]
        waves.append(_at_level(spoken, db))
        at += len(spoken.wave)
    return Sound(plan.lane, start, np.concatenate(waves), tuple(words)), pauses


def answer_to(words: Sequence[str], wait_s: float | None, question_end: int) -> Sound:
    """The agent's answer on a turn boundary, after the margin or the asked wait."""
    wait = ONSET_MARGIN if wait_s is None else int(wait_s * SAMPLE_RATE)
    spoken = agent_speech(words)
    return Sound("agent", turn_from(question_end + wait), spoken.wave, spoken.words)


def _aside(aside: Aside, at: int, cast: Cast) -> Sound:
    spoken = speak(aside.words, cast.stranger)
    wave = _at_level(spoken, aside.level_db)
    return Sound("background", at, wave, spoken.words)


def _interrupt(
    by: Interruption, answer: Sound, take: Take, cast: Cast, rng: np.random.Generator
) -> tuple[Sound, float]:
    """The answer as far as it got, and when the user spoke up; adds what followed."""
    early = int(_INTERRUPT_AFTER_S * SAMPLE_RATE)
    room = max(len(answer.wave) - 2 * early, 0)
    onset = answer.start + early + int(by.at * room)
    after = perform(by.plan, onset, cast, rng)
    cut = turn_from(onset + YIELD_MARGIN)
    take.control += [(cut, "clear"), *after.control]
    take.sounds += after.sounds
    take.exchanges += after.exchanges
    take.end = after.end
    return cut_off(answer, cut), onset / SAMPLE_RATE


def cut_off(answer: Sound, cut: int) -> Sound:
    """Speech that stops at `cut`; words that had not begun are dropped."""
    if cut >= answer.end:
        raise ValueError(f"nothing to cut at {cut}: the speech ends at {answer.end}")
    t = (cut - answer.start) / SAMPLE_RATE
    words = tuple(replace(w, t1=min(w.t1, t)) for w in answer.words if w.t0 < t)
    wave = answer.wave[: cut - answer.start]
    return replace(answer, wave=wave, words=words, cut=cut)
