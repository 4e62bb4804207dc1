"""A system's own words, at the turn that it wrote them for.

A word begins with the turn's first sound and ends with the next word, or where the sound
ends; words of one turn share its sound evenly. Onsets are so exact to a turn, 200 ms.
"""

from __future__ import annotations

from eval.record import Record
from eval.sample import TURN_S, Span


def words(record: Record, segments: list[tuple[float, float]]) -> list[Span]:
    written: list[tuple[float, str]] = []
    open_ = False  # the last piece may go on in the next
    for t, text in record.text:
        pieces = text.split()
        if open_ and not text[0].isspace() and pieces:
            written[-1] = (written[-1][0], written[-1][1] + pieces.pop(0))
        each = TURN_S / max(len(pieces), 1)
        written += [(t + i * each, piece) for i, piece in enumerate(pieces)]
        open_ = bool(written) and not text[-1].isspace()
    ends = [*(t for t, _ in written[1:]), record.seconds][: len(written)]
    spans = []
    for (t, text), end in zip(written, ends, strict=True):
        heard = [(a, b) for a, b in segments if a < end and b > t]
        start = max(t, heard[0][0]) if heard else t
        stop = min(end, heard[0][1]) if heard else min(end, t + TURN_S)
        spans.append(Span(text, start, max(start, stop)))
    return spans
