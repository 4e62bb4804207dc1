"""VoiceBench, WildVoice: requests from the wild, spoken by people, rated by a judge."""

from __future__ import annotations

from eval.voicebench.judged import Open

TASK = Open(about="requests from the wild; a judge's rating, 1 to 5", folder="wildvoice")
