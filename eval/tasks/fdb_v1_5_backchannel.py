"""Full-Duplex-Bench v1.5: a user only signs that they listen. It should speak on.

99 samples: --data holds v1_5/user_backchannel. As fdb_v1_5_interruption in all else.
"""

from __future__ import annotations

from eval.layouts import full_duplex_bench as layout
from eval.tasks.fdb_v1_5_interruption import Overlap, metrics

TASK = Overlap(
    layout.overlap("user_backchannel"),
    "FDB v1.5: a user signs that they listen",
    {"GPT-4o": {"respond": 0.03, "resume": 0.70, "stop": 0.21, "response": 1.32}},
    metrics=metrics("resume", keep_on=True),
)
