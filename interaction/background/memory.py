"""What a conversation was so far, as a background model is given it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal

import msgspec

from interaction.background.protocol import (
    Context,
    Happened,
    Reference,
    Said,
    ToolSpec,
)
from interaction.conversation import TURN_S, Output

MOST = 4_000  # things said, and things that happened, that are remembered; the newest
BREATH_S = 2.0  # between words of one speaker that are told as one
LONG = 1_000  # characters that are told as one

Who = Literal["user", "agent"]


class Memory:
    """Of one conversation; of bounded size, however old it is."""

    def __init__(self) -> None:
        self.instructions = ""
        self._said: deque[Said] = deque(maxlen=MOST)
        self._happened: deque[Happened] = deque(maxlen=MOST)
        self._references: dict[tuple[str, str], Reference] = {}
        self.audio_at = ""  # the address of the sound that is being recorded
        self.frames_at = ""  # and of what is shown

    def follow(self, out: Output) -> None:
        """One micro-turn. A directive is not said."""
        for event in out.events:
            if event.lane == "user":
                self._say("user", event.t_s, event.t_s, event.text)
            elif event.kind == "CLEAR":
                self.note("interrupted", event.t_s)
        if out.text.strip():
            self._say("agent", out.turn_s, round(out.turn_s + TURN_S, 3), out.text)
        began = round(out.turn_s - TURN_S, 3)
        if self.audio_at:
            self.keep(Reference("audio", began, out.turn_s, self.audio_at))
        if self.frames_at and out.given.patches is not None:
            self.keep(Reference("frame", began, out.turn_s, self.frames_at))

    def note(self, kind: str, t_s: float, text: str = "") -> None:
        self._happened.append(Happened(kind, t_s, text))  # type: ignore[arg-type]

    def keep(self, reference: Reference) -> None:
        """One of an address: it goes on from its first time to its last."""
        name = reference.kind, reference.uri
        if first := self._references.get(name):
            reference = msgspec.structs.replace(first, end_s=reference.end_s)
        self._references[name] = reference
        if len(self._references) > MOST:
            del self._references[next(iter(self._references))]

    def context(
        self, task: str, asked_s: float, directive: str, tools: tuple[ToolSpec, ...]
    ) -> Context:
        return Context(
            task,
            asked_s,
            directive,
            self.instructions,
            tuple(self._said),
            tuple(self._happened),
            tuple(self._references.values()),
            tools,
        )

    def _say(self, who: Who, start_s: float, end_s: float, text: str) -> None:
        """Adds to what the speaker said last, if nobody else spoke since and it was now."""
        last = self._said[-1] if self._said else None
        if (
            last
            and last.who == who
            and start_s - last.end_s <= BREATH_S
            and len(last.text) + len(text) < LONG
        ):
            self._said[-1] = Said(who, last.start_s, end_s, f"{last.text}{text}")
        else:
            self._said.append(Said(who, start_s, end_s, text.lstrip()))


def transcript(context: Context) -> str:
    """A context for readers: one line for everything that was said or happened."""

    def lines() -> Iterator[tuple[float, str]]:
        for said in context.said:
            yield said.start_s, f"{said.who}: {said.text}"
        for event in context.happened:
            yield event.t_s, f"({event.kind}{': ' if event.text else ''}{event.text})"
        for kept in context.references:
            yield kept.start_s, f"({kept.kind}: {kept.uri})"

    told = sorted(lines(), key=lambda line: line[0])
    return "\n".join(f"[{t_s:.1f} s] {text}" for t_s, text in told)
