"""What time it is, anywhere."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from datetime import datetime
from typing import Any

from interaction.background.protocol import ToolSpec
from interaction.background.toolbox import Result
from interaction.errors import InputError

Now = Callable[[], datetime]
"""The time now, with its time zone."""

SPEC = ToolSpec(
    "clock",
    "The date and the time now, here or in a time zone.",
    {
        "type": "object",
        "properties": {
            "zone": {
                "type": "string",
                "maxLength": 100,
                "description": "IANA time zone, as Europe/Berlin; without it: here",
            }
        },
        "additionalProperties": False,
    },
)


class Clock:
    spec = SPEC

    def __init__(self, now: Now) -> None:
        self._now = now

    async def call(self, arguments: dict[str, Any]) -> Result:
        now, name = self._now(), arguments.get("zone")
        if name is not None:
            now = now.astimezone(zone(name))
        offset = now.strftime("%z")
        where = f"{name}, " if name else ""
        return Result(
            f"{now:%A, %d %B %Y, %H:%M:%S} ({where}UTC{offset[:3]}:{offset[3:5]})"
        )

    async def close(self) -> None:
        """It holds nothing."""


def zone(name: str) -> zoneinfo.ZoneInfo:
    """Raises InputError."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        mend = "give a name such as America/New_York"
        raise InputError(f"zone: there is no time zone {name}; {mend}") from None
