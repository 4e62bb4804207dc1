"""An errand spoken: the agent hands a question over, stays with the user, and tells.

What comes back is written, and lies in the lane `tool`. The agent says it when it has read
it and nobody speaks.
"""

from __future__ import annotations

import numpy as np

from interaction.data.dialogue import Exchange, Word
from interaction.data.scenes.plan import Errand, Plan
from interaction.data.scenes.words import CHECKING, SORRY
from interaction.data.stage import (
    Cast,
    Sound,
    Take,
    answer_to,
    ask,
    least_samples,
    perform,
    turn_from,
)
from interaction.modality.audio import SAMPLE_RATE, TURN_SAMPLES

FAILED = ("failed",)  # what comes back of an errand that does
_READ_S = 0.2  # a word
_GAP_S = (0.3, 1.2)  # before the user goes on, or calls the errand off
_REST_S = 0.3  # between the end of an exchange and the result


def least(errand: Errand) -> int:
    """A length that an errand is unlikely to undercut."""
    samples = least_samples(_question(errand))
    if errand.meanwhile:
        samples += least_samples(errand.meanwhile)
    return samples + int((errand.delay_s + 1.5) * SAMPLE_RATE)


def _question(errand: Errand) -> Plan:
    answer, pauses = (CHECKING,), errand.may_pause_after
    return Plan("acknowledge", errand.says, answer, pauses, seen=errand.seen)


def run(errand: Errand, start: int, cast: Cast, rng: np.random.Generator) -> Take:
    """Speak an errand from `start` on."""
    take = perform(_question(errand), start, cast, rng)
    asked, accepted = take.sounds
    take.control.append((accepted.start, "delegate"))
    free, gap = take.end, int(rng.uniform(*_GAP_S) * SAMPLE_RATE)
    if errand.recall:
        return _recalled(errand.recall, take, free + gap, cast, rng)
    arrives = max(free, asked.end + int(errand.delay_s * SAMPLE_RATE))
    if errand.meanwhile and free + gap + TURN_SAMPLES < arrives:
        also = perform(errand.meanwhile, free + gap, cast, rng)
        take.sounds += also.sounds
        take.control += also.control
        take.exchanges += also.exchanges
        free = also.end
    _tell(errand, take, arrives, free)
    return take


def _recalled(
    words: tuple[str, ...], take: Take, at: int, cast: Cast, rng: np.random.Generator
) -> Take:
    said, _ = ask(Plan("recall", words), at, cast, rng)
    heard = turn_from(said.end + TURN_SAMPLES)
    take.sounds.append(said)
    take.control.append((heard, "cancel"))
    nothing = Exchange("recall", at / SAMPLE_RATE, said.end / SAMPLE_RATE, None, None)
    take.exchanges.append(nothing)
    take.end = heard + TURN_SAMPLES
    return take


def _tell(errand: Errand, take: Take, arrives: int, free: int) -> None:
    """What comes back is read, and said once the floor is free."""
    back = errand.result or FAILED
    words = tuple(Word(word, 0.0, 0.0) for word in back)
    take.sounds.append(Sound("tool", arrives, np.zeros(0, np.float32), words))
    read = arrives + int(_READ_S * (1 + len(back)) * SAMPLE_RATE)
    begins = max(read, free + int(_REST_S * SAMPLE_RATE) if free > arrives else 0)
    says = errand.result or (SORRY,)
    told = answer_to(says, 0.0, begins)
    since = max(arrives, free) / SAMPLE_RATE
    take.sounds.append(told)
    take.control.append((turn_from(told.end), "break"))
    take.exchanges.append(
        Exchange(
            "result",
            since,
            since,
            " ".join(says),
            told.start / SAMPLE_RATE,
            seen=errand.seen,
        )
    )
    take.end = turn_from(told.end) + TURN_SAMPLES
