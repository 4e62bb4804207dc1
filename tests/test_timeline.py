"""The picture of a session, from plain data."""

from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from interaction import timeline


class Event(NamedTuple):
    t_s: float
    lane: str
    kind: str
    text: str = ""


def session(seconds: float):
    rng = np.random.default_rng(0)
    n = int(seconds * 16000)
    user = np.where(np.arange(n) // 16000 % 4 < 2, 0.2, 0) * rng.standard_normal(n)
    agent = np.where(np.arange(n) // 16000 % 4 >= 2, 0.2, 0) * rng.standard_normal(n)
    events = [Event(2.1, "control", "CLEAR"), Event(2.4, "background", "text", "$5")]
    for t in np.arange(0.5, seconds, 0.5):
        events.append(Event(t, "user" if t % 4 < 2 else "agent", "word", f"w{t:.0f}"))
    compute = rng.uniform(10, 40, int(seconds / 0.2))
    compute[0] = 1500  # the compiler's turn
    return user.astype(np.float32), agent.astype(np.float32), events, compute


def pixels(tmp_path, *arguments, **options) -> np.ndarray:
    path = tmp_path / "t.png"
    timeline.save(path, timeline.draw(*arguments, **options))
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


@pytest.mark.parametrize("seconds, rows", [(0.2, 1), (10, 1), (45, 3), (120, 8)])
def test_size_follows_length(tmp_path, seconds, rows):
    image = pixels(tmp_path, *session(seconds), title="nano")
    assert image.shape[1] == 1600
    assert image.shape[0] == rows * 325 + 70


def test_ten_minutes_are_thirty_rows():
    assert timeline.row_seconds(600) == 20


def count(image: np.ndarray, colour: str) -> int:
    want = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(image - want).sum(axis=2) < 12).sum())


def test_every_lane_is_drawn(tmp_path):
    user, agent, events, compute = session(10)
    silence = np.zeros_like(user)
    empty = pixels(tmp_path, silence, silence, [], [])
    for colour, arguments in {
        timeline.USER: (user, silence, [], []),
        timeline.AGENT: (silence, agent, [], []),
        timeline.CONTROL["CLEAR"][1]: (silence, silence, events[:1], []),
        timeline.BACKGROUND: (silence, silence, events[1:2], []),
        "#8a8f98": (silence, silence, [], compute),
    }.items():
        drawn = pixels(tmp_path, *arguments)
        assert count(drawn, colour) > count(empty, colour) + 30, colour


def test_words_stand_over_their_time(tmp_path):
    """One word at 7.5 s of 10: its ink is there and nowhere else."""
    silence = np.zeros(160_000, np.float32)
    empty = pixels(tmp_path, silence, silence, [], [])
    word = pixels(tmp_path, silence, silence, [Event(7.5, "agent", "word", "ten")], [])
    columns = np.flatnonzero(np.abs(word - empty).sum(axis=(0, 2)))
    expected = 1600 * (0.06 + 0.93 * 0.75)
    assert abs(columns.min() - expected) < 6 and columns.max() - columns.min() < 60


def test_close_words_do_not_overlap(tmp_path):
    figure = timeline.draw(
        np.zeros(160_000, np.float32),
        np.zeros(160_000, np.float32),
        [Event(3 + 0.1 * i, "user", "word", " seventeen") for i in range(3)],
        [],
    )
    figure.canvas.draw()
    boxes = [t.get_window_extent() for t in figure.axes[0].texts]
    assert len(boxes) == 3
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        # Moved up, not along: a heard word's text ends where the word ended.
        assert abs(box.x1 - 1600 * (0.06 + 0.93 * (0.3 + 0.01 * i))) < 4


def test_pieces_of_words_are_drawn_as_one():
    """Where a heard word ended, and where one that is said began."""
    pieces = [Event(2.0, "", "word", " thir"), Event(2.3, "", "word", "ty"),
              Event(2.5, "", "word", " two")]  # fmt: skip
    heard, said = (timeline.whole_words(pieces, at_end) for at_end in (True, False))
    assert [(e.t_s, e.text) for e in heard] == [(2.3, " thirty"), (2.5, " two")]
    assert [(e.t_s, e.text) for e in said] == [(2.0, " thirty"), (2.5, " two")]
    silence = np.zeros(64_000, np.float32)
    events = [e._replace(lane="user") for e in pieces]
    shown = [
        t.get_text() for t in timeline.draw(silence, silence, events, []).axes[0].texts
    ]
    assert shown == ["thirty", "two"]


def test_what_the_background_did_has_a_row_of_its_own():
    """Between control and compute; no line of it runs into another, or out of the row."""
    silence = np.zeros(160_000, np.float32)
    times = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 3.0, 3.1, 9.4, 9.95]
    events = [Event(t, "background", "final", f"task_{t}: " + "long " * 20) for t in times]
    figure = timeline.draw(silence, silence, [*events, Event(0.4, "control", "SPEAK")], [])
    figure.canvas.draw()
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts]
    assert 5 <= len(boxes) < len(times)
    for i, box in enumerate(boxes):
        assert box.x1 <= axes.bbox.x1 + 1
        assert not [other for other in boxes[:i] if box.overlaps(other)]
    low, high = (axes.transData.transform((0, y))[1] for y in (0.95, timeline._MARKS - 0.2))
    assert all(low < box.y0 and box.y1 < high for box in boxes)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "background" in labels
