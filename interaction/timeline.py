"""A picture of a session: both voices, their words, control marks, compute per turn.

Long sessions are split into rows. Each row holds, from top to bottom: the user's
waveform with the heard words above it, the agent's waveform with its words above it
and the control tokens below it, what the background did, and the compute of every
micro-turn against the line of real time.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from interaction.modality.audio import SAMPLE_RATE

USER, AGENT, INK, GRID = "#2f6db3", "#c8641e", "#333333", "#dddddd"
BACKGROUND = "#6b4fa0"
# Control token -> (marker, colour).
CONTROL = {
    "SPEAK": (">", "#2c8a4b"),
    "CLEAR": ("X", "#c22f2f"),
    "BREAK": ("|", "#777777"),
    "DELEGATE": ("D", BACKGROUND),
}

# One row's vertical layout, in row units from the bottom.
_BARS = (0.0, 0.9)  # the second is where real time (100% of a turn) lies
_BACK = 1.4  # the lowest of the background's lines
_MARKS = 2.95
_AGENT, _USER = 3.85, 6.2  # centres of the waveforms
_HALF = 0.6  # half height of a waveform at full scale
_TOP = 8.0
_WORD_LEVELS, _BACK_LEVELS, _WORD_STEP = 3, 4, 0.34
_LONGEST = 60  # characters of a background's line
_WIDTH_IN, _ROW_IN, _HEAD_IN, _FOOT_IN, _DPI = 16.0, 3.25, 0.5, 0.2, 100
_LEFT, _RIGHT = 0.06, 0.99
_CHARACTER_IN = 0.08  # width of a letter at _FONT points
_FONT = 8.0


class Event(Protocol):
    """What is drawn of an event; `interaction.session.Event` has these fields."""

    @property
    def t_s(self) -> float: ...
    @property
    def lane(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...


def row_seconds(total_s: float) -> float:
    """How much time one row shows: everything up to 15 s, 10 min in 30 rows."""
    if total_s <= 15.0:
        return max(total_s, 1.0)
    return 15.0 if total_s <= 120.0 else 20.0


def draw(
    user: np.ndarray,
    agent: np.ndarray,
    events: Sequence[Event],
    compute_ms: Sequence[float],
    turn_ms: int = 200,
    title: str = "",
) -> Figure:
    """The picture as a matplotlib figure (not registered with pyplot).

    user, agent: float32 [N], [M] at 16 kHz on one clock. events: lanes "user"
    (heard words), "agent" (words), "control" (kind is the token) and "background".
    compute_ms: per micro-turn, the k-th drawn over [k, k+1) turns.
    """
    total_s = max(len(user), len(agent)) / SAMPLE_RATE
    total_s = max(total_s, len(compute_ms) * turn_ms / 1000, turn_ms / 1000)
    span_s = row_seconds(total_s)
    rows = max(1, math.ceil(total_s / span_s - 1e-9))
    height_in = rows * _ROW_IN + _HEAD_IN + _FOOT_IN
    figure = Figure(figsize=(_WIDTH_IN, height_in), dpi=_DPI)
    FigureCanvasAgg(figure)
    for row in range(rows):
        bottom_in = _FOOT_IN + 0.25 + (rows - 1 - row) * _ROW_IN
        axes = figure.add_axes(
            (
                _LEFT,
                bottom_in / height_in,
                _RIGHT - _LEFT,
                (_ROW_IN - 0.35) / height_in,
            )
        )
        start_s = row * span_s
        _frame(axes, start_s, span_s, turn_ms, last=row == rows - 1)
        _wave(axes, user, start_s, span_s, _USER, USER)
        _wave(axes, agent, start_s, span_s, _AGENT, AGENT)
        _bars(axes, compute_ms, turn_ms, start_s, span_s)
        shown = [e for e in events if start_s <= e.t_s < start_s + span_s]
        heard = whole_words([e for e in shown if e.lane == "user"], at_end=True)
        said = whole_words([e for e in shown if e.lane == "agent"], at_end=False)
        _words(axes, heard, span_s, _USER, USER, at_end=True)
        _words(axes, said, span_s, _AGENT, AGENT, at_end=False)
        _marks(axes, [e for e in shown if e.lane == "control"])
        background = [e for e in shown if e.lane == "background"]
        _background(axes, background, start_s, span_s)
    _legend(figure, title, height_in)
    return figure


def save(path: str | os.PathLike, figure: Figure) -> None:
    """Write the figure; the format follows the name's ending (png, svg, pdf)."""
    figure.savefig(path, dpi=_DPI, facecolor="white")


def _frame(axes: Axes, start_s: float, span_s: float, turn_ms: int, last: bool) -> None:
    axes.set_xlim(start_s, start_s + span_s)
    axes.set_ylim(-0.05, _TOP)
    axes.spines[["top", "right", "left"]].set_visible(False)
    back = _BACK + _WORD_STEP * (_BACK_LEVELS - 1) / 2
    axes.set_yticks([_BARS[0], _BARS[1], back, _MARKS, _AGENT, _USER])
    names = ["0 ms", f"{turn_ms} ms", "background", "control", "agent", "user"]
    axes.set_yticklabels(names)
    colours = [INK, "#c22f2f", BACKGROUND, INK, AGENT, USER]
    for label, colour in zip(axes.get_yticklabels(), colours, strict=True):
        label.set_color(colour)
    axes.tick_params(axis="both", labelsize=8, length=0)
    step = 1.0 if span_s <= 30 else 5.0
    ticks = np.arange(math.ceil(start_s), start_s + span_s + 1e-6, step)
    axes.set_xticks(ticks)
    axes.set_xticklabels([_clock(t) for t in ticks])
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.axhline(_BARS[1], color="#c22f2f", linewidth=0.8, linestyle=(0, (4, 3)))
    if last:
        axes.set_xlabel("seconds" if start_s + span_s < 60 else "minutes:seconds")


def _clock(t_s: float) -> str:
    minutes, seconds = divmod(round(t_s), 60)
    return f"{minutes}:{seconds:02d}" if minutes else f"{seconds}"


def _wave(axes, wave, start_s: float, span_s: float, centre: float, colour: str):
    """The envelope (least and greatest sample per column) of one row's sound."""
    first = int(start_s * SAMPLE_RATE)
    part = np.asarray(wave[first : first + int(span_s * SAMPLE_RATE)], np.float32)
    axes.axhline(centre, color=colour, linewidth=0.4, alpha=0.5)
    if not len(part):
        return
    column = max(1, int(span_s * SAMPLE_RATE / (_WIDTH_IN * _DPI)))
    part = np.pad(part, (0, -len(part) % column)).reshape(-1, column)
    low, high = np.clip([part.min(axis=1), part.max(axis=1)], -1.0, 1.0)
    # Quiet voices stay visible: the square root keeps the order, lifts the small.
    low, high = -np.sqrt(np.maximum(-low, 0)), np.sqrt(np.maximum(high, 0))
    t_s = start_s + np.arange(len(low)) * column / SAMPLE_RATE
    axes.fill_between(
        t_s, centre + _HALF * low, centre + _HALF * high, color=colour, linewidth=0
    )


def _bars(axes: Axes, compute_ms, turn_ms: int, start_s: float, span_s: float) -> None:
    turn_s = turn_ms / 1000
    first = round(start_s / turn_s)
    values = np.asarray(compute_ms[first : first + round(span_s / turn_s)], np.float64)
    heights = np.minimum(values / turn_ms, 1.2) * (_BARS[1] - _BARS[0])
    colours = ["#c22f2f" if value > turn_ms else "#8a8f98" for value in values]
    t_s = (first + np.arange(len(values))) * turn_s
    axes.bar(t_s, heights, turn_s * 0.8, _BARS[0], align="edge", color=colours)


class Word(NamedTuple):
    t_s: float
    text: str


def whole_words(events: Sequence[Event], at_end: bool) -> list[Word]:
    """One lane's words, in order, with their pieces brought together: a piece begins with
    no space. at_end: a word is where its last piece is, not its first."""
    words: list[Word] = []
    for event in events:
        if words and not event.text.startswith(" "):
            first = words.pop()
            t_s = event.t_s if at_end else first.t_s
            words.append(Word(t_s, first.text + event.text))
        else:
            words.append(Word(event.t_s, event.text))
    return words


def _words(axes, words, span_s: float, centre: float, colour: str, at_end: bool):
    """Words above a waveform, each on the lowest level where it does not overlap.

    at_end: the event marks the word's end (heard words), so the text ends there.
    """
    per_character = _CHARACTER_IN * span_s / (_WIDTH_IN * (_RIGHT - _LEFT))
    ends = [-math.inf] * _WORD_LEVELS
    for word in sorted(words, key=lambda w: w.t_s):
        text = word.text.strip()
        if not text:
            continue
        width = per_character * len(text)
        start = word.t_s - width if at_end else word.t_s
        free = [i for i, end in enumerate(ends) if end <= start]
        level = free[0] if free else int(np.argmin(ends))
        start = max(start, ends[level])
        ends[level] = start + width + per_character
        axes.text(
            start + width if at_end else start,
            centre + _HALF + 0.12 + level * _WORD_STEP,
            text.replace("$", r"\$"),
            fontsize=_FONT,
            color=colour,
            clip_on=True,
            ha="right" if at_end else "left",
            va="bottom",
        )


def _marks(axes: Axes, events: Sequence[Event]) -> None:
    for event in events:
        marker, colour = CONTROL.get(event.kind.upper(), ("o", INK))
        axes.plot(event.t_s, _MARKS, marker, color=colour, markersize=6)
        if event.kind.upper() == "CLEAR":
            axes.vlines(event.t_s, _MARKS, _TOP, colour, linewidth=0.8, alpha=0.6)


def _background(axes: Axes, events: Sequence[Event], start_s: float, span_s: float) -> None:
    """A line of text each, on the highest level that is free; where none is, and at the
    end of the row, it is cut, or is a mark alone."""
    per_character = _CHARACTER_IN * span_s / (_WIDTH_IN * (_RIGHT - _LEFT))
    ordered = sorted(events, key=lambda e: e.t_s)
    ends = [-math.inf] * _BACK_LEVELS
    for event in ordered:
        free = [i for i, end in enumerate(ends) if end <= event.t_s]
        level = free[0] if free else None
        down = _BACK_LEVELS - 0.25 if level is None else level
        at = _BACK + _WORD_STEP * (_BACK_LEVELS - 1 - down)
        axes.plot(event.t_s, at, "s", color=BACKGROUND, markersize=4)
        room = int((start_s + span_s - event.t_s) / per_character) - 2
        text = " ".join(event.text.split())
        if len(text) > (longest := min(room, _LONGEST)):
            text = text[: longest - 1] + "…" if longest > 1 else ""
        if level is None or not text:
            continue
        ends[level] = event.t_s + per_character * (len(text) + 2)
        axes.annotate(
            text.replace("$", r"\$"),
            (event.t_s, at),
            xytext=(5, 0),
            textcoords="offset points",
            fontsize=_FONT,
            style="italic",
            color=BACKGROUND,
            va="center_baseline",
            clip_on=True,
        )


def _legend(figure: Figure, title: str, height_in: float) -> None:
    handles = [
        Line2D([], [], marker=m, color=c, linestyle="none", label=name)
        for name, (m, c) in CONTROL.items()
    ]
    square = Line2D([], [], marker="s", color=BACKGROUND, linestyle="none", markersize=4)
    square.set_label("background")
    handles.append(square)
    handles.append(Line2D([], [], color="#8a8f98", lw=6, label="compute per turn"))
    top = 1 - 0.12 / height_in
    figure.legend(
        handles=handles,
        loc="upper right",
        bbox_to_anchor=(_RIGHT, top),
        ncols=len(handles),
        frameon=False,
        fontsize=8,
    )
    figure.text(_LEFT, top - 0.08 / height_in, title, fontsize=11, va="top", color=INK)
