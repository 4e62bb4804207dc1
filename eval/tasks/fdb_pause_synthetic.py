"""Full-Duplex-Bench v1: pauses that were put into synthetic speech.

137 samples: --data holds v1_0/synthetic_pause_handling.
"""

from __future__ import annotations

from eval.layouts import full_duplex_bench as layout
from eval.tasks.fdb_pause_candor import PauseHandling

TASK = PauseHandling(
    layout.PAUSE_SYNTHETIC,
    "FDB v1, synthetic: pauses that are no turn's end",
    {
        "PersonaPlex": {"turn_over_rate": 0.584},
        "dGSLM": {"turn_over_rate": 0.934},
        "Moshi": {"turn_over_rate": 0.985},
        "Freeze-Omni": {"turn_over_rate": 0.642},
        "Gemini 2.0": {"turn_over_rate": 0.255},
        "GPT-Realtime": {"turn_over_rate": 0.010},
    },
)
