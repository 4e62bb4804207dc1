"""What an errand brought back is told word for word, and no word more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eval.ears import ears
from eval.judge import judge
from eval.record import Call, Record
from eval.sample import Span
from eval.tasks.errand_synth import TASK, TOOL

TRUTH = {"question": [0.5, 2.0], "result": "eighty", "failed": False, "recalled": None,
         "also": []}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "right"),
    [
        (((6.4, " eighty"),), 1.0),
        (((6.4, " eighty"), (6.8, " eight")), 0.0),
        (((6.4, " eighty"), (9.0, " red")), 1.0),  # of something else
        (((6.4, " eight"),), 0.0),
        (((4.0, " eighty"),), 0.0),  # before it was known
    ],
)
def test_right_is_neither_less_nor_more(said, right):
    sound = np.zeros(16_000 * 12, np.float32)
    record = Record(
        "s0", sound, sound, (Span("what is fifty plus thirty", 0.5, 2.0),), TRUTH, "",
        ((2.2, " checking"), *said), (Call(2.2, TOOL, {}),), ((5.2, TOOL, "eighty"),),
        (), (), (), "", Path(),
    )  # fmt: skip
    row = TASK.measure(record, ears("text_stream", "energy"), judge("none"))
    assert row["right"] == right and row["recall"] == 1.0
