"""One conversation, or several in lockstep: `Session.open`, `.step`, `.reset`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from interaction import step as device
from interaction.blocks import TurnInput, pack_turn, sizes
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.grammar import AUDIO_PER_TURN, MAX_TEXT_IN, Kind
from interaction.heard import HeardWords
from interaction.memory import keep_freed_memory
from interaction.modality.audio import (
    BINS,
    HOP,
    MELS,
    SAMPLE_RATE,
    TURN_SAMPLES,
    DmelStream,
)
from interaction.modality.video import PAIR, fit, patchify
from interaction.package import Package, open_package
from interaction.parallel.placement import place_params

TURN_S = TURN_SAMPLES / SAMPLE_RATE


@dataclass(frozen=True)
class Event:
    """Something that happened at stream time `t_s`: when it takes effect for the
    listener. lane: user (words heard), agent (words said), control, background."""

    t_s: float
    lane: str
    kind: str
    text: str


@dataclass(frozen=True)
class Output:
    """One micro-turn's output. It plays in the 200 ms after the input it answers.

    audio: float32 [3200]; text: what the agent wrote, with its spaces; heard: user words
    that ended; cleared: drop what is queued for playback before playing this;
    frame, given: what was emitted and what the turn brought, for records.
    """

    audio: np.ndarray
    text: str
    heard: tuple[str, ...]
    events: tuple[Event, ...]
    compute_ms: float
    cleared: bool
    frame: device.Frame
    given: TurnInput


class Session:
    """Conversations on preallocated device state; nothing grows with their age.

    With `slots=1`, `step` takes and returns single values; with more, sequences of them.
    With a mesh (`interaction.parallel.mesh.make_mesh`), every device runs its part.
    """

    def __init__(
        self,
        package: Package,
        slots: int = 1,
        seed: int = 0,
        temperature: float = 0.0,
        mesh: jax.sharding.Mesh | None = None,
    ) -> None:
        if slots < 1:
            raise InputError(f"slots={slots}; use 1 or more")
        if package.text is None:
            raise InputError(f"{package.path} has no tokenizer.json; put one there")
        cfg = package.cfg
        if (cfg.mels, cfg.mel_bins, cfg.patch_frames) != (MELS, BINS, PAIR):
            raise InputError(
                f"{package.path}: sound of {cfg.mels} x {cfg.mel_bins} and patches of "
                f"{cfg.patch_frames} frames; sessions need {MELS} x {BINS} and {PAIR}"
            )
        keep_freed_memory()
        self.package = package
        self._text = package.text
        self.slots = slots
        self.turn_ms = round(1000 * TURN_S)
        self._seeds = np.arange(seed, seed + slots)
        self._temperature = jnp.full((slots,), temperature, jnp.float32)
        self._live = jnp.ones((slots,), bool)
        self._mesh = mesh
        self._params = place_params(package.params, cfg, mesh)
        self._state = device.empty_state(self.config, slots, self._seeds, mesh)
        self._begin()
        self._warm_up()

    @classmethod
    def open(
        cls,
        name_or_path: str | Path,
        slots: int = 1,
        seed: int = 0,
        temperature: float = 0.0,
    ) -> Session:
        """Open a shipped model by name, or a directory. Compiles everything once.

        temperature: of text and control tokens; 0 takes the likeliest. Raises InputError
        when there is no such checkpoint or it does not fit its config.
        """
        return cls(open_package(name_or_path), slots, seed, temperature)

    @property
    def config(self) -> ModelConfig:
        return self.package.cfg

    @property
    def transcript(self) -> list[Event] | list[list[Event]]:
        """Events so far, in order of time."""
        ordered = [sorted(events, key=lambda e: e.t_s) for events in self._events]
        return ordered[0] if self.slots == 1 else ordered

    def reset(self) -> None:
        """Forget the conversation; the next one is as if newly opened."""
        clear = jnp.ones((self.slots,), bool)
        seeds = jnp.asarray(self._seeds)
        self._state = device.restart(self._state, clear, seeds, cfg=self.config)
        self._begin()

    def _begin(self) -> None:
        nothing = self.config.controls_at + Kind.NOTHING
        self.turn = 0
        self._ears = [DmelStream() for _ in range(self.slots)]
        self._heard = [HeardWords(nothing) for _ in range(self.slots)]
        self._waiting: list[list[int]] = [[] for _ in range(self.slots)]
        self._next_look = [0] * self.slots
        self._events: list[list[Event]] = [[] for _ in range(self.slots)]

    def _warm_up(self) -> None:
        """Compile both block sizes and the frame, then start afresh."""
        bins = np.zeros((AUDIO_PER_TURN, 80), np.uint8)
        grid = (
            self.config.patches_per_frame,
            2,
            self.config.patch,
            self.config.patch,
            3,
        )
        for _, patches in sizes(self.config):
            pixels = np.zeros(grid, np.float32) if patches else None
            self._advance([TurnInput(bins, pixels)] * self.slots)
        self.reset()

    def _advance(self, turns: Sequence[TurnInput]) -> tuple[device.Heard, device.Frame]:
        package = self.package
        block = pack_turn(self.config, turns)
        self._state, heard = device.ingest(
            self._params, self._state, block, cfg=self.config, mesh=self._mesh
        )
        self._state, frame = device.emit(
            self._params,
            package.wave,
            self._state,
            self._live,
            self._temperature,
            cfg=self.config,
            mesh=self._mesh,
        )
        return jax.device_get((heard, frame))

    @overload
    def step(
        self,
        audio: np.ndarray,
        frames: np.ndarray | None = None,
        text: str | None = None,
    ) -> Output: ...

    @overload
    def step(
        self,
        audio: Sequence[np.ndarray],
        frames: Sequence[np.ndarray | None] | None = None,
        text: Sequence[str | None] | None = None,
    ) -> list[Output]: ...

    def step(
        self,
        audio: np.ndarray | Sequence[np.ndarray],
        frames: np.ndarray | Sequence[np.ndarray | None] | None = None,
        text: str | Sequence[str | None] | None = None,
    ) -> Output | list[Output]:
        """One micro-turn: 200 ms in, 200 ms out.

        audio: float32 [3200] at 16 kHz; frames: uint8 [2, H, W, 3] or None (the model
        looks every `config.frame_period` turns and lets the others pass); text: typed by
        the user, or None. With several slots: one of each per slot. Raises InputError on
        other shapes or on samples that are not finite.
        """
        single = self.slots == 1
        given = [audio] if single else list(audio)
        pairs = [frames] if single else self._per_slot(frames, "frames")
        texts = [text] if single else self._per_slot(text, "text")
        if len(given) != self.slots:
            raise InputError(f"step: {len(given)} audio inputs for {self.slots} slots")
        began = time.perf_counter()
        # All inputs are checked before any slot moves: a bad one must not leave its
        # neighbours half a turn ahead.
        waves = [_checked(wave) for wave in given]
        patches = [self._look(slot, pair) for slot, pair in enumerate(pairs)]
        turns = [
            self._turn_input(slot, *each)
            for slot, each in enumerate(zip(waves, patches, texts, strict=True))
        ]
        heard, frame = self._advance(turns)
        compute_ms = 1e3 * (time.perf_counter() - began)
        outputs = [
            self._output(slot, heard, frame, compute_ms, turns[slot])
            for slot in range(self.slots)
        ]
        self.turn += 1
        return outputs[0] if single else outputs

    def _per_slot(self, given: Sequence | np.ndarray | None, name: str) -> list[Any]:
        if given is None:
            return [None] * self.slots
        if isinstance(given, str | np.ndarray) or len(given) != self.slots:
            raise InputError(
                f"step: give {name} as a list, one for each of {self.slots} slots"
            )
        return list(given)

    def _look(self, slot: int, pair: ArrayLike | None) -> np.ndarray | None:
        """Patches of a pair of frames, if it is time to look."""
        cfg = self.config
        if pair is None or self.turn < self._next_look[slot]:
            return None
        pair = np.asarray(pair)
        if pair.ndim != 4 or pair.shape[0] != 2 or pair.shape[3] != 3 or not pair.size:
            raise InputError(f"step: frames are {pair.shape}; give uint8 [2, H, W, 3]")
        pair = np.stack([fit(f, cfg.frame_height, cfg.frame_width) for f in pair])
        return patchify(pair, cfg.patch)

    def _turn_input(
        self, slot: int, wave: np.ndarray, patches: np.ndarray | None, text: str | None
    ) -> TurnInput:
        if patches is not None:
            self._next_look[slot] = self.turn + self.config.frame_period
        waiting = self._waiting[slot]
        if text:
            waiting += self._text.word(text.strip())
        now, self._waiting[slot] = waiting[:MAX_TEXT_IN], waiting[MAX_TEXT_IN:]
        return TurnInput(self._ears[slot].push(wave), patches, tuple(now))

    def _output(
        self,
        slot: int,
        heard: device.Heard,
        frame: device.Frame,
        compute_ms: float,
        given: TurnInput,
    ) -> Output:
        cfg, decode = self.config, self._text.decode
        plays = (self.turn + 1) * TURN_S
        events: list[Event] = []
        words = []
        ended = self._heard[slot].push(
            np.asarray(heard.token[slot]), np.asarray(heard.probability[slot])
        )
        for token, position in ended:
            word = decode([token]).strip() if token < cfg.controls_at else ""
            if word:
                words.append(word)
                t = self.turn * TURN_S + (position + 1) * HOP / SAMPLE_RATE
                events.append(Event(round(t, 3), "user", "word", word))
        n = int(frame.n[slot])
        kinds, tokens = frame.kind[slot][:n], frame.token[slot][:n]
        text = decode(tokens[kinds == Kind.TEXT].tolist())
        at = round(plays, 3)
        for kind in (Kind.CLEAR, Kind.BREAK, Kind.DELEGATE, Kind.SPEAK):
            if (kinds == kind).any():
                events.append(Event(at, "control", kind.name, ""))
        if text.strip():
            events.append(Event(at, "agent", "text", text.strip()))
        self._events[slot] += events
        return Output(
            np.asarray(frame.audio[slot]),
            text,
            tuple(words),
            tuple(events),
            compute_ms,
            bool((kinds == Kind.CLEAR).any()),
            jax.tree.map(lambda x: x[slot], frame),
            given,
        )


def _checked(audio: ArrayLike) -> np.ndarray:
    wave = np.asarray(audio, np.float32)
    if wave.shape != (TURN_SAMPLES,):
        raise InputError(
            f"step: audio is {wave.shape}; give [{TURN_SAMPLES}] samples at 16 kHz"
        )
    if not np.isfinite(wave).all():
        raise InputError("step: audio has NaN or infinite samples; mend the source")
    return wave
