"""VoiceBench, AlpacaEval: spoken requests, rated by a judge."""

from __future__ import annotations

from eval.voicebench.base import board
from eval.voicebench.judged import Open

TASK = Open(
    about="spoken requests; a judge's rating, 1 to 5",
    folder="alpacaeval_full",  # of the leaderboard; `alpacaeval` is a part of it
    published=board("alpacaeval", "gpt"),
)
