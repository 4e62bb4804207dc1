"""VoiceBench, CommonEval: requests spoken by people, rated by a judge."""

from __future__ import annotations

from eval.voicebench.base import board
from eval.voicebench.judged import Open

TASK = Open(
    about="requests in human voices; a judge's rating, 1 to 5",
    folder="commoneval",
    published=board("commoneval", "gpt"),
)
