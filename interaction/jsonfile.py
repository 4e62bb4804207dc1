"""JSON files that must hold an object."""

from __future__ import annotations

import json
from pathlib import Path

from interaction.errors import InputError


def read_json(path: Path) -> dict:
    """Raises InputError for a missing file or one that holds no JSON object."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} does not read ({error}); replace it") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no JSON object; replace it")
    return values
