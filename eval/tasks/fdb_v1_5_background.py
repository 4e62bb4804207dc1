"""Full-Duplex-Bench v1.5: somebody else is heard. It should speak on.

100 samples: --data holds v1_5/background_speech. As fdb_v1_5_interruption in all else.
"""

from __future__ import annotations

from eval.layouts import full_duplex_bench as layout
from eval.tasks.fdb_v1_5_interruption import Overlap, metrics

TASK = Overlap(
    layout.overlap("background_speech"),
    "FDB v1.5: somebody else is heard",
    {"GPT-4o": {"respond": 0.93, "resume": 0.04, "stop": 0.18, "response": 1.26}},
    metrics=metrics("resume", keep_on=True),
)
