"""Put a system through samples, turn by turn, and store what it did.

Lockstep: turn k + 1 begins when the system has answered turn k, however long that took;
latencies leave computing out. Real time: turns come every 200 ms, and what a system says
plays when it is there.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from eval.agent import SILENCE, Agent, Heard, Result, Said, Talks
from eval.record import Log, keep_fault
from eval.sample import TURN_S, Call, Fault, Sample
from interaction.modality.audio import TURN_SAMPLES

Clock = Literal["lockstep", "realtime"]


class _Tools:
    """Answers a conversation's calls when their time has come."""

    def __init__(self, sample: Sample) -> None:
        self._tools = {tool.name: tool for tool in sample.tools}
        self._due: list[tuple[float, Result]] = []

    def call(self, call: Call) -> None:
        tool = self._tools.get(call.name)
        try:
            text = tool.answer(call.arguments) if tool else f"no tool {call.name!r}"
        except Exception as error:  # the system's arguments may be anything
            text = f"{call.name} failed: {error}"
        self._due.append((call.t + (tool.seconds if tool else 0.0), Result(call, text)))

    def due(self, t: float) -> tuple[Result, ...]:
        ready = tuple(result for at, result in self._due if at <= t + 1e-9)
        self._due = [(at, result) for at, result in self._due if at > t + 1e-9]
        return ready


class _Camera:
    """A sample's frames, each taken when its turn comes."""

    def __init__(self, sample: Sample) -> None:
        self._frames = iter(sample.frames)
        self._next = next(self._frames, None)

    def turn(self, k: int) -> np.ndarray | None:
        shown = None
        while self._next is not None and round(self._next[0] / TURN_S) <= k:
            shown, self._next = self._next[1], next(self._frames, None)
        return shown


def _heard(sample: Sample, camera: _Camera, k: int, results: tuple[Result, ...]) -> Heard:
    if k >= sample.turns:
        return Heard(SILENCE)
    cut = slice(k * TURN_SAMPLES, (k + 1) * TURN_SAMPLES)
    typed = [text for t, text in sample.typed if round(t / TURN_S) == k]
    text = " ".join(typed) or None
    return Heard(sample.audio[cut], camera.turn(k), text, results)


def _live(talks: Talks, samples: Sequence[Sample], clock: Clock) -> list[Log]:
    logs, tools = [Log(s) for s in samples], [_Tools(s) for s in samples]
    cameras = [_Camera(s) for s in samples]
    began = time.monotonic()
    for k in range(max(sample.turns for sample in samples)):
        t = k * TURN_S
        given = [each.due(t) for each in tools]
        for log, results in zip(logs, given, strict=True):
            log.results += [(t, result) for result in results]
        if clock == "realtime":
            time.sleep(max(0.0, began + t + TURN_S - time.monotonic()))
        every = zip(samples, cameras, given, strict=True)
        heard = [_heard(s, camera, k, r) for s, camera, r in every]
        said = talks.step(heard)
        behind = 1e3 * (time.monotonic() - began - t - TURN_S)
        for log, tool, out in zip(logs, tools, said, strict=True):
            if k < log.sample.turns:
                _log(log, tool, out, t + TURN_S, behind if clock == "realtime" else None)
    return logs


def _log(log: Log, tools: _Tools, out: Said, t: float, behind: float | None) -> None:
    log.said.append(out)
    if behind is not None:
        log.behind_ms.append(behind)
    for name, arguments in out.calls:
        tools.call(Call(round(t, 3), name, arguments))


def _attempt(agent: Agent, samples: Sequence[Sample], clock: Clock) -> list[Log | Fault]:
    """Samples side by side; where that fails, one by one, so that one sample's failure is
    its own."""
    try:
        talks = agent.open(samples)
        try:
            return list(_live(talks, samples, clock))
        finally:
            talks.close()
    except Exception as error:
        if len(samples) == 1:
            return [Fault(samples[0].id, f"{type(error).__name__}: {error}")]
        return [r for s in samples for r in _attempt(agent, [s], clock)]


def run(
    agent: Agent,
    samples: Iterator[Sample | Fault],
    folder: Path,
    clock: Clock,
    done: Callable[[], object] = lambda: None,
) -> None:
    """Every sample that `folder` does not hold yet. done: after each that is stored, or
    found there."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (s for s in samples if not _there(folder, s.id, done))
    while batch := list(itertools.islice(wanted, agent.slots)):
        good = [s for s in batch if isinstance(s, Sample)]
        results: list[Log | Fault] = [s for s in batch if isinstance(s, Fault)]
        results += _attempt(agent, good, clock) if good else []
        for result in results:
            if isinstance(result, Fault):
                keep_fault(folder / result.id, result)
            else:
                result.keep(folder / result.sample.id)
            done()


def _there(folder: Path, id_: str, done: Callable[[], object]) -> bool:
    there = (folder / id_).is_dir()
    if there:
        done()
    return there
