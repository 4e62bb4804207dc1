"""Full-Duplex-Bench v1.5: a user says something to somebody else. It should speak on.

100 samples: --data holds v1_5/talking_to_other. As fdb_v1_5_interruption in all else.
"""

from __future__ import annotations

from eval.layouts import full_duplex_bench as layout
from eval.tasks.fdb_v1_5_interruption import Overlap, metrics

TASK = Overlap(
    layout.overlap("talking_to_other"),
    "FDB v1.5: a user speaks to somebody else",
    {"GPT-4o": {"respond": 0.91, "resume": 0.02, "stop": 0.18, "response": 1.16}},
    metrics=metrics("resume", keep_on=True),
)
