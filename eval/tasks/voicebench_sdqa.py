"""VoiceBench, SD-QA: questions in many accents, with an answer to compare with."""

from __future__ import annotations

from eval.voicebench.judged import Referenced

TASK = Referenced(
    about="questions in many accents; right, by a judge",
    folder="sd-qa",
    needs=("reference",),
)
