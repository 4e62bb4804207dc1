"""A turn-based system: what scaffolding achieves on a task, without a duplex model.

    --agent=baseline --agent_args=silence=0.6

Four parts in a row: a voice-activity detector by energy (`eval.detector`) takes a silence
of `silence` seconds for the end of the user's turn; the turn's words are recognised
(`eval.recogniser`), answered by rule (`eval.rules`), and the answer is said by espeak. When
the user speaks up, it stops.

It can: echo words, add and subtract, count, say a word after so many seconds; go on with a
question that a pause had cut in two; be interrupted.
It cannot: begin before the silence is over, so its latency is `silence`, rounded up to a
turn; tell a question to somebody else, a "yes" or noise from an interruption; listen while
it speaks; see; call tools; know any sentence that its grammar lacks, let alone public
benchmarks' questions, to which it is silent or, where they sound alike, wrong.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from eval.agent import Heard, Said, Solo
from eval.detector import FRAME, FRAME_S, Detector
from eval.paced import chosen
from eval.recogniser import WORSE, Recogniser, recogniser
from eval.rules import Reply, reply
from eval.sample import TURN_S, Sample
from eval.voice import Mouth
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE

BEGINS = 3  # frames of speech of the last five, with which a turn begins
AMONG = 5
EDGE_S = 0.1  # kept on either side of a turn
LONGEST_S = 10.0  # of a question that goes on after pauses


class Turn(NamedTuple):
    """What the user said between two silences. end_s: of the speech in it."""

    wave: np.ndarray
    end_s: float


class Turns:
    """Cuts what is heard into the user's turns, by silence."""

    def __init__(self, silence: float) -> None:
        self._detector, self._most = Detector(), round(silence / FRAME_S)
        self._wave = np.zeros(0, np.float32)
        self._dropped = 0  # frames before `_wave`
        self._flags: list[bool] = []  # of the frames in `_wave`
        self.speaking = False

    def push(self, wave: np.ndarray) -> list[Turn]:
        """Turns that ended, with the silence behind them, in these 200 ms."""
        self._wave = np.concatenate([self._wave, wave])
        ended = []
        for flag in self._detector.push(wave):
            self._flags.append(flag)
            if not self.speaking:
                self.speaking = sum(self._flags[-AMONG:]) >= BEGINS
                if not self.speaking:
                    self._keep(AMONG + round(EDGE_S / FRAME_S))
            elif not any(self._flags[-self._most :]):
                ended.append(self._cut())
                self.speaking = False
        return ended

    def _keep(self, most: int) -> None:
        surplus = max(len(self._flags) - most, 0)
        self._flags, self._wave = self._flags[surplus:], self._wave[surplus * FRAME :]
        self._dropped += surplus

    def _cut(self) -> Turn:
        edge = round(EDGE_S / FRAME_S)
        last = max(i for i, flag in enumerate(self._flags) if flag) + 1
        wave = self._wave[: (last + edge) * FRAME]
        end_s = (self._dropped + last) * FRAME_S
        self._keep(0)
        return Turn(wave, end_s)


class _Baseline:
    def __init__(self, silence: float, understand: Recogniser) -> None:
        self._turns, self._understand = Turns(silence), understand
        self._mouth = Mouth()
        self._open = np.zeros(0, np.float32)  # the beginning of a question
        self._due: tuple[float, Reply] | None = None
        self._now = 0.0  # the end of what was heard

    def step(self, heard: Heard) -> Said:
        began = time.perf_counter()
        self._now += TURN_S
        stops = False
        for turn in self._turns.push(heard.audio):
            self._answer(turn)
        if self._turns.speaking:
            stops, self._due = self._mouth.busy, None
            self._mouth.stop()
        elif self._due and self._due[0] <= self._now + 1e-6:
            self._mouth.say(self._due[1].text)
            self._due = None
        said = self._mouth.turn()
        ms = 1e3 * (time.perf_counter() - began)
        return Said(said.audio, said.text, cleared=stops, compute_ms=ms)

    def _answer(self, turn: Turn) -> None:
        """A turn alone, or as the rest of one that was not whole."""
        for wave in (np.concatenate([self._open, turn.wave]), turn.wave):
            words, whole, distance = self._understand(wave)
            known = distance < WORSE
            if known and whole and (found := reply(words)):
                self._due = (turn.end_s + found.wait_s, found)
            if known and whole or not len(self._open):
                break
        seconds = len(wave) / SAMPLE_RATE
        goes_on = known and not whole and seconds < LONGEST_S
        self._open = wave if goes_on else wave[:0]

    def close(self) -> None:
        pass


def open(arguments: Mapping[str, str]) -> Solo:
    given = chosen("baseline", arguments, silence="0.6")["silence"]
    try:
        silence = float(given)
    except ValueError:
        silence = 0.0
    if not 0.1 <= silence <= 5.0:
        raise InputError("--agent_args: baseline takes silence=S, 0.1 to 5")

    def begin(sample: Sample) -> _Baseline:
        return _Baseline(silence, recogniser())

    return Solo(f"baseline(silence={silence:g})", begin, slots=16)
