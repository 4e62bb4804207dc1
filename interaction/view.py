"""What a running session looks like in the terminal: live, or plain lines in a log."""

from __future__ import annotations

import collections
import math
import sys
from typing import Protocol

import numpy as np
from rich.bar import Bar
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from interaction.timeline import AGENT, USER

_WORDS = 16  # how many of the latest words are shown
_FLOOR_DB = -60.0


class View(Protocol):
    """Context that is shown every micro-turn."""

    def __enter__(self) -> View: ...
    def __exit__(self, *_: object) -> None: ...
    def turn(self, t_s: float, user: np.ndarray, out) -> None:
        """t_s: end of the input. user: float32 [n]. out: what `Session.step` gave."""


def open_view(turn_ms: int) -> View:
    """A live view on a terminal, plain lines anywhere else."""
    return LiveView(turn_ms) if sys.stdout.isatty() else PlainView()


def level(wave: np.ndarray) -> float:
    """Loudness of float32 [n] as a part of the meter: 0 at -60 dBFS, 1 at full."""
    power = float(np.mean(np.square(wave, dtype=np.float64))) if len(wave) else 0.0
    db = 10 * math.log10(power) if power > 0 else -math.inf
    return min(1.0, max(0.0, 1 - db / _FLOOR_DB))


class PlainView:
    """One line for every turn in which something was heard, said or decided."""

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def turn(self, t_s: float, user: np.ndarray, out) -> None:
        parts = []
        if out.heard:
            parts.append("heard: " + "".join(out.heard).strip())
        if out.text.strip():
            parts.append("says: " + out.text.strip())
        parts += [e.kind.upper() for e in out.events if e.lane == "control"]
        if parts:
            line = f"{t_s:7.1f} s  {out.compute_ms:5.0f} ms  {'  |  '.join(parts)}"
            print(line, flush=True)


class LiveView:
    """Level meters for both sides, the latest words, and compute against the turn."""

    def __init__(self, turn_ms: int) -> None:
        self._turn_ms = turn_ms
        self._heard: collections.deque[str] = collections.deque(maxlen=_WORDS)
        self._said: collections.deque[str] = collections.deque(maxlen=_WORDS)
        self._control: collections.deque[str] = collections.deque(maxlen=4)
        self._live = Live(console=Console(), auto_refresh=False, transient=True)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.__exit__(None, None, None)

    def turn(self, t_s: float, user: np.ndarray, out) -> None:
        self._heard.extend(out.heard)
        if out.text.strip():
            self._said.append(out.text)
        for event in out.events:
            if event.lane == "control":
                self._control.append(f"{event.kind.upper()} {event.t_s:.1f}")
        self._live.update(self._draw(t_s, user, out), refresh=True)

    def _draw(self, t_s: float, user: np.ndarray, out) -> Group:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=8)
        table.add_column(width=24)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        heard, said = "".join(self._heard).strip(), "".join(self._said).strip()
        table.add_row("user", _meter(level(user), USER), Text(heard, style=USER))
        table.add_row("agent", _meter(level(out.audio), AGENT), Text(said, style=AGENT))
        share = out.compute_ms / self._turn_ms
        colour = "red" if share > 1 else "green"
        table.add_row(
            "compute",
            _meter(min(share, 1.0), colour),
            f"{out.compute_ms:.0f} of {self._turn_ms} ms   {'  '.join(self._control)}",
        )
        return Group(Text(f"{t_s:.1f} s", style="bold"), table)


def _meter(part: float, colour: str) -> Bar:
    return Bar(1.0, 0.0, part, width=24, color=colour, bgcolor="grey23")
