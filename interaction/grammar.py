"""The grammar of a micro-turn: kinds of position, control tokens, packing. No JAX.

    in  := TURN (CHANNEL text_in{1..8})? (IMG patch{P})? AUDIO_IN x 4
    out := (CLEAR|BREAK)? (DELEGATE)? text{0..6} (SPEAK AUDIO_OUT x 4 | SILENT)

One sequence, in0 out0 in1 out1 ...; the next emitted kind is always the model's own
prediction. Boundaries are explicit and both halves are bounded.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

AUDIO_PER_TURN = 4
MAX_TEXT_IN = 8
MAX_TEXT = 6
MAX_EMIT = 2 + MAX_TEXT + 1 + AUDIO_PER_TURN


class Kind(IntEnum):
    """What a position is. The control token of a kind is `controls_at + kind`."""

    PAD = 0
    TURN = 1
    TEXT_IN = 2
    IMG = 3
    PATCH = 4
    AUDIO_IN = 5
    TEXT = 6
    SPEAK = 7
    SILENT = 8
    CLEAR = 9
    BREAK = 10
    DELEGATE = 11
    AUDIO_OUT = 12
    USER = 13  # channel of text_in: typed by the user
    BACKGROUND = 14  # channel of text_in: words of the background model
    INSTRUCT = 15  # channel of text_in: instructions
    NOTHING = 16  # the heard head's "no word now"


CONTROLS = 32  # rows kept for controls; those past Kind are for later kinds

EMITTED = (
    Kind.TEXT,
    Kind.SPEAK,
    Kind.SILENT,
    Kind.CLEAR,
    Kind.BREAK,
    Kind.DELEGATE,
)
"""Kinds that the model itself chooses, one token at a time."""


def allowed_next(
    controls_at: int, vocab: int, previous: int, texts: int, first: bool
) -> np.ndarray:
    """Which tokens may follow in an output frame. -> bool [vocab].

    `previous` is the kind of the last emitted position (or AUDIO_IN at the start),
    `texts` how many text tokens this frame has, `first` whether nothing is emitted yet.
    """
    allowed = np.zeros(vocab, bool)
    allowed[[controls_at + Kind.SPEAK, controls_at + Kind.SILENT]] = True
    if texts < MAX_TEXT:
        allowed[:controls_at] = True
        if previous != Kind.DELEGATE:
            allowed[controls_at + Kind.DELEGATE] = texts == 0
    if first:
        allowed[[controls_at + Kind.CLEAR, controls_at + Kind.BREAK]] = True
    return allowed


def grammar_table(controls_at: int, vocab: int) -> np.ndarray:
    """`allowed_next` for every state of a frame. -> bool [3, MAX_TEXT + 1, vocab].

    First axis: 0 nothing emitted yet, 1 after CLEAR, BREAK or text, 2 after DELEGATE.
    """
    rows = [
        [
            allowed_next(controls_at, vocab, previous, texts, first)
            for texts in range(MAX_TEXT + 1)
        ]
        for previous, first in (
            (Kind.AUDIO_IN, True),
            (Kind.TEXT, False),
            (Kind.DELEGATE, False),
        )
    ]
    return np.array(rows)
