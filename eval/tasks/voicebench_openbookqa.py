"""VoiceBench, OpenBookQA: questions of elementary science with four answers."""

from __future__ import annotations

from eval.voicebench.base import board
from eval.voicebench.letters import Letters

TASK = Letters(
    about="questions of elementary science with four answers; the letter",
    folder="openbookqa",
    published=board("openbookqa", "acc"),
)
