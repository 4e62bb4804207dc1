"""The host's half of one conversation: what goes into its slot and what comes out.

Everything here belongs to the conversation, not to the slot that it happens to have, so
that it can leave for a file and go on elsewhere (`Conversation.state`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike

from interaction import step as device
from interaction.blocks import TurnInput
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.grammar import MAX_TEXT_IN, Kind
from interaction.heard import HeardWords
from interaction.modality.audio import (
    HOP,
    SAMPLE_RATE,
    TURN_SAMPLES,
    DmelStream,
)
from interaction.modality.text import Text
from interaction.modality.video import fit, patchify

TURN_S = TURN_SAMPLES / SAMPLE_RATE


@dataclass(frozen=True)
class Event:
    """Something that happened at stream time `t_s`: when it takes effect for the
    listener. lane: user (words heard), agent (words said), control, background. Words
    begin with a space, and come in pieces where tokens are smaller: " thir", "ty"."""

    t_s: float
    lane: str
    kind: str
    text: str


@dataclass(frozen=True)
class Output:
    """One micro-turn's output. It plays in the 200 ms after the input it answers.

    audio: float32 [3200]; text: what the agent said, with its spaces; heard: user words
    that ended, or pieces of them, with theirs; cleared: drop what is queued for playback
    before playing this; frame, given: what was emitted and what the turn brought, for
    records; turn_s: stream time of the end of its input; directive: what was written to
    the background model and to nobody else: words of a frame that delegates and does not
    speak.
    """

    audio: np.ndarray
    text: str
    heard: tuple[str, ...]
    events: tuple[Event, ...]
    compute_ms: float
    cleared: bool
    frame: device.Frame
    given: TurnInput
    turn_s: float
    directive: str = ""


class Words(NamedTuple):
    """Something to read. channel: whose it is: USER, BACKGROUND or INSTRUCT."""

    text: str
    channel: Kind = Kind.USER


class Looked(NamedTuple):
    """A turn's input, checked, before anything has moved."""

    wave: np.ndarray
    patches: np.ndarray | None
    words: Sequence[Words]


class Conversation:
    """Follows one slot through its micro-turns; of constant size, however old."""

    def __init__(self, cfg: ModelConfig, text: Text) -> None:
        self.turn = 0
        self._cfg = cfg
        self._text = text
        self._ear = DmelStream()
        self._heard = HeardWords(cfg.controls_at + Kind.NOTHING)
        self._waiting: list[tuple[int, int]] = []  # channel, token
        self._next_look = 0

    def check(
        self,
        audio: ArrayLike,
        frames: ArrayLike | None = None,
        text: str | Sequence[Words] | None = None,
    ) -> Looked:
        """What a turn brings, as `Session.step` takes it; changes nothing. The model looks
        every `frame_period` turns and lets other frames pass. Raises InputError."""
        words = [Words(text)] if isinstance(text, str) else text or ()
        wave = np.asarray(audio, np.float32)
        if wave.shape != (TURN_SAMPLES,):
            raise InputError(
                f"step: audio is {wave.shape}; give [{TURN_SAMPLES}] samples at 16 kHz"
            )
        if not np.isfinite(wave).all():
            raise InputError("step: audio has NaN or infinite samples; mend the source")
        return Looked(wave, self._look(frames), words)

    def _look(self, pair: ArrayLike | None) -> np.ndarray | None:
        cfg = self._cfg
        if pair is None or self.turn < self._next_look:
            return None
        pair = np.asarray(pair)
        if pair.ndim != 4 or pair.shape[0] != 2 or pair.shape[3] != 3 or not pair.size:
            raise InputError(f"step: frames are {pair.shape}; give uint8 [2, H, W, 3]")
        pair = np.stack([fit(f, cfg.frame_height, cfg.frame_width) for f in pair])
        return patchify(pair, cfg.patch)

    def take(self, given: Looked) -> TurnInput:
        """The turn's input for the device. A turn has room for some tokens of one channel;
        other words wait, in order."""
        if given.patches is not None:
            self._next_look = self.turn + self._cfg.frame_period
        for text, channel in given.words:
            if text := text.strip():
                self._waiting += [(int(channel), t) for t in self._text.word(text)]
        now, channel = self._read()
        return TurnInput(self._ear.push(given.wave), given.patches, now, channel)

    @property
    def words_waiting(self) -> int:
        """Tokens that later turns will bring."""
        return len(self._waiting)

    def _read(self) -> tuple[tuple[int, ...], Kind]:
        """The tokens that this turn has room for, and whose they are."""
        if not self._waiting:
            return (), Kind.USER
        first = self._waiting[0][0]
        mine = itertools.takewhile(lambda x: x[0] == first, self._waiting[:MAX_TEXT_IN])
        now = tuple(token for _, token in mine)
        self._waiting = self._waiting[len(now) :]
        return now, Kind(first)

    def give(
        self, heard: device.Heard, frame: device.Frame, given: TurnInput, compute_ms: float
    ) -> Output:
        """What the device made of the turn: one slot's rows, on the host. Ends the turn."""
        plays = round((self.turn + 1) * TURN_S, 3)
        events = self._words(heard)
        words = tuple(event.text for event in events)
        n = int(frame.n)
        kinds, tokens = frame.kind[:n], frame.token[:n]
        text = self._text.decode(tokens[kinds == Kind.TEXT].tolist())
        directive = ""
        if (kinds == Kind.DELEGATE).any() and not (kinds == Kind.SPEAK).any():
            directive, text = text.strip(), ""
        for kind in (Kind.CLEAR, Kind.BREAK, Kind.DELEGATE, Kind.SPEAK):
            if (kinds == kind).any():
                to = directive if kind == Kind.DELEGATE else ""
                events.append(Event(plays, "control", kind.name, to))
        if text.strip():
            events.append(Event(plays, "agent", "text", text))
        self.turn += 1
        return Output(
            np.asarray(frame.audio),
            text,
            words,
            tuple(events),
            compute_ms,
            bool((kinds == Kind.CLEAR).any()),
            frame,
            given,
            plays,
            directive,
        )

    def _words(self, heard: device.Heard) -> list[Event]:
        """The user's words that ended in this turn."""
        ended = self._heard.push(np.asarray(heard.token), np.asarray(heard.probability))
        events = []
        for token, position in ended:
            spoken = token < self._cfg.controls_at
            word = self._text.decode([token]) if spoken else ""
            if word.strip():
                t = self.turn * TURN_S + (position + 1) * HOP / SAMPLE_RATE
                events.append(Event(round(t, 3), "user", "word", word))
        return events

    def state(self) -> dict[str, Any]:
        """What `restore` needs: numbers, lists and numpy arrays."""
        return {
            "turn": self.turn,
            "ear": self._ear.pending,
            "heard": self._heard.run,
            "waiting": list(self._waiting),
            "next_look": self._next_look,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.turn = int(state["turn"])
        self._ear.pending = np.asarray(state["ear"], np.float32)
        token, evidence = state["heard"]
        self._heard.run = int(token), float(evidence)
        self._waiting = [(int(channel), int(token)) for channel, token in state["waiting"]]
        self._next_look = int(state["next_look"])


def row(tree: Any, slot: int) -> Any:
    """One slot's part of what the device gave."""
    return jax.tree.map(lambda x: x[slot], tree)
