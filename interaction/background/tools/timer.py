"""Timers that speak up at their time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from interaction.background.protocol import ToolSpec
from interaction.background.toolbox import Result
from interaction.errors import InputError

MOST = 20  # that run at once
LONGEST_S = 7 * 24 * 3600.0

SPEC = ToolSpec(
    "timer",
    "Timers. set: one that speaks up after so many seconds; list: what runs; cancel: by "
    "its label.",
    {
        "type": "object",
        "properties": {
            "action": {"enum": ["set", "list", "cancel"]},
            "label": {
                "type": "string",
                "minLength": 1,
                "maxLength": 100,
                "description": "what the timer is for; to set and to cancel",
            },
            "seconds": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": LONGEST_S,
                "description": "to set",
            },
        },
        "required": ["action"],
        "additionalProperties": False,
    },
)


class Timer:
    """due: is called with a timer's label at its time, in the event loop."""

    spec = SPEC

    def __init__(self, due: Callable[[str], None]) -> None:
        self._due = due
        self._running: dict[str, asyncio.TimerHandle] = {}

    async def call(self, arguments: dict[str, Any]) -> Result:
        if arguments["action"] == "list":
            return Result(self._list())
        label = arguments.get("label")
        if label is None:
            raise InputError("label: is missing; say which timer")
        if arguments["action"] == "cancel":
            return Result(self._cancel(label))
        if "seconds" not in arguments:
            raise InputError("seconds: is missing; say how long the timer runs")
        return Result(self._set(label, arguments["seconds"]))

    def _set(self, label: str, seconds: float) -> str:
        if label in self._running:
            raise InputError(
                f"label: {label} runs already; cancel it, or name it otherwise"
            )
        if len(self._running) >= MOST:
            raise InputError(f"{MOST} timers run, the most; cancel one first")
        loop = asyncio.get_running_loop()
        self._running[label] = loop.call_later(seconds, self._ring, label)
        return f"{label}: set, {seconds:g} s"

    def _ring(self, label: str) -> None:
        del self._running[label]
        self._due(label)

    def _list(self) -> str:
        now = asyncio.get_running_loop().time()
        order = sorted(self._running.items(), key=lambda item: item[1].when())
        left = [f"{label}: {max(h.when() - now, 0):.0f} s left" for label, h in order]
        return "\n".join(left) or "no timers run"

    def _cancel(self, label: str) -> str:
        if label not in self._running:
            known = ", ".join(self._running) or "none"
            raise InputError(f"label: no timer {label} runs; there is: {known}")
        self._running.pop(label).cancel()
        return f"{label}: cancelled"

    async def close(self) -> None:
        """None of them speaks up any more."""
        while self._running:
            self._running.popitem()[1].cancel()
