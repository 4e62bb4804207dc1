"""The phrases by which VoiceBench reads answers (`voicebench.json`, which says whence)."""

from __future__ import annotations

import functools
import importlib.resources
import json
from typing import Any


@functools.cache
def phrases(name: str) -> Any:
    file = importlib.resources.files("eval.formulas") / "voicebench.json"
    return json.loads(file.read_text("utf-8"))[name]
