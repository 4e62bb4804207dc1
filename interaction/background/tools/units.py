"""Conversion of units, by pint."""

from __future__ import annotations

import math
import re
from typing import Any

import pint

from interaction.background.protocol import ToolSpec
from interaction.background.toolbox import Result
from interaction.errors import InputError

# Pint works out any arithmetic in a unit's place, 9**9**9 too: only powers of one digit, of
# names, are let through to it.
NAME = r"[A-Za-zµμΩÅ_][A-Za-zµμΩÅ_0-9]*|°[CF]|%"
POWER = r"\s*(?:\*\*|\^)\s*-?[1-9]|[²³]"
FACTOR = rf"(?:{NAME})(?:{POWER})?"
UNIT = re.compile(rf"\s*(?:1\s*/\s*)?{FACTOR}(?:(?:\s*[*·/]\s*|\s+){FACTOR})*\s*")
LONGEST = 60  # characters of a unit

SPEC = ToolSpec(
    "units",
    "Converts a value from one unit to another.",
    {
        "type": "object",
        "properties": {
            "value": {"type": "number"},
            "from": {
                "type": "string",
                "maxLength": LONGEST,
                "description": "as km/h, cubic_feet, degC, degF, kg*m/s**2",
            },
            "to": {"type": "string", "maxLength": LONGEST},
        },
        "required": ["value", "from", "to"],
        "additionalProperties": False,
    },
)


class Units:
    spec = SPEC

    def __init__(self) -> None:
        self._registry: pint.UnitRegistry = pint.UnitRegistry()

    async def call(self, arguments: dict[str, Any]) -> Result:
        given, wanted = self._unit("from", arguments), self._unit("to", arguments)
        try:
            value = float(arguments["value"])
            found = self._registry.Quantity(value, given).to(wanted).magnitude
        except (pint.PintError, OverflowError) as error:
            raise InputError(str(error)) from None
        if not math.isfinite(found):
            raise InputError("value: too large a number")
        return Result(f"{value:.12g} {given} = {found:.12g} {wanted}")

    def _unit(self, which: str, arguments: dict[str, Any]) -> pint.Unit:
        name = arguments[which]
        wrong = f"{which}: {name} is no unit that is known here; give one such as km/h"
        if not UNIT.fullmatch(name):
            raise InputError(wrong)
        try:
            return self._registry.parse_units(name.replace("·", "*"))
        except (pint.PintError, ValueError, TypeError, ArithmeticError, SyntaxError):
            raise InputError(wrong) from None

    async def close(self) -> None:
        """It holds nothing."""
