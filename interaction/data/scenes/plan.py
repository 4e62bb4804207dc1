"""What is to happen in a scene, in words: no sound, and no time that depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outline = Literal["circle", "square"]


@dataclass(frozen=True)
class Picture:
    """What the camera sees: `count` shapes of one colour; `seed` places them."""

    colour: str
    count: int
    shape: Outline
    light: bool
    seed: int


@dataclass(frozen=True)
class Interruption:
    """A plan that starts while the agent answers, `at` (0..1) of the way through."""

    at: float
    plan: Plan


@dataclass(frozen=True)
class Aside:
    """A faint other voice over the agent's answer or in a pause of the question."""

    words: tuple[str, ...]
    level_db: float
    over: Literal["answer", "pause"]


@dataclass(frozen=True)
class Errand:
    """A question that the agent hands to its background model.

    result: the words that come back, which it says; None: the errand fails, and it says
    so. delay_s: from the end of the question. meanwhile: another exchange, before the
    result; recall: words by which the user calls the errand off instead.
    """

    says: tuple[str, ...]
    result: tuple[str, ...] | None
    delay_s: float
    may_pause_after: tuple[int, ...] = ()
    meanwhile: Plan | None = None
    recall: tuple[str, ...] = ()
    seen: bool = True


@dataclass(frozen=True)
class Plan:
    """One exchange. A scene's `build(rng, held_out) -> Plan` makes it.

    says: the words said, in the user's voice or (`stranger`) another one, at
        `level_db` below the user's usual level.
    answer: the words the agent has to say; None: it stays silent.
    may_pause_after: how many words of `says` may come before a pause: only where
        nobody could take the question for complete.
    wait_s: from the end of the question to the answer, when the question says so.
    quiet_s: how long nothing happens, when nothing is said.
    seen: whether training contains this combination.
    """

    task: str
    says: tuple[str, ...] = ()
    answer: tuple[str, ...] | None = None
    may_pause_after: tuple[int, ...] = ()
    wait_s: float | None = None
    quiet_s: float = 0.0
    lane: Literal["user", "side", "background"] = "user"
    stranger: bool = False
    level_db: float = 0.0
    picture: Picture | None = None
    interruption: Interruption | None = None
    aside: Aside | None = None
    seen: bool = True
