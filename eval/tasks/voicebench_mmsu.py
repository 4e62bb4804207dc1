"""VoiceBench, MMSU: questions of twelve domains with four answers."""

from __future__ import annotations

from eval.voicebench.base import board
from eval.voicebench.letters import Letters

TASK = Letters(
    about="questions of twelve domains with four answers; the letter",
    folder="mmsu",
    published=board("mmsu", "acc"),
)
