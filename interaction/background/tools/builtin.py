"""The tools that are there without a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interaction.background.toolbox import Tool
from interaction.background.tools.calculator import Calculator
from interaction.background.tools.chart import Chart
from interaction.background.tools.clock import Clock, Now
from interaction.background.tools.folder import Folder
from interaction.background.tools.python import Python
from interaction.background.tools.timer import Timer
from interaction.background.tools.units import Units


def builtin(folder: Path | None, now: Now, due: Callable[[str], None]) -> list[Tool]:
    """folder: to search, if any; now: the time, with its zone; due: told a timer's label at
    its time. Takes a second. Raises InputError where there is no such folder."""
    tools: list[Tool] = [
        Calculator(), Clock(now), Timer(due), Units(), Python(), Chart(),
    ]  # fmt: skip
    return [*tools, Folder(folder)] if folder else tools
