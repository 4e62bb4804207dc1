"""Arithmetic that is exact for as long as it can be.

Numbers are integers and fractions (0.1 is a tenth); a function without an exact answer, as
sin, makes a float. Every step is bounded before it is taken: nothing here runs for long.
"""

from __future__ import annotations

import ast
import decimal
import math
import operator
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from interaction.background.protocol import ToolSpec
from interaction.background.toolbox import Result
from interaction.errors import InputError

LONGEST = 1_000  # characters of an expression
BITS = 12_000  # of an integer: it has 3,613 digits, which a result has room for
PLACES = 50  # after the point that are written out
FRACTION = 60  # characters of a fraction that is written as one
HUGE = f"the number would have more than {BITS} bits; ask for less"
LITERAL = re.compile(r"[\d_]*\.?[\d_]*(?:[eE]([+-]?[\d_]+))?")
SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-"})
SHORT = decimal.Context(prec=15, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)

Number = Fraction | float

SPEC = ToolSpec(
    "calculator",
    "Works out an arithmetic expression exactly: + - * / // % **, parentheses, pi, e, and "
    "functions such as sqrt, log (natural, or log(x, base)), sin (radians), factorial, "
    "gcd, comb, round, min, max.",
    {
        "type": "object",
        "properties": {
            "expression": {"type": "string", "minLength": 1, "maxLength": LONGEST}
        },
        "required": ["expression"],
        "additionalProperties": False,
    },
)


class Calculator:
    spec = SPEC

    async def call(self, arguments: dict[str, Any]) -> Result:
        return Result(written(value(arguments["expression"])))

    async def close(self) -> None:
        """It holds nothing."""


def value(expression: str) -> Number:
    """Raises InputError."""
    text = expression.translate(SIGNS).strip()
    try:
        return bounded(_value(ast.parse(text, mode="eval").body, text))
    except SyntaxError as error:
        raise InputError(f"expression: {error.msg}; write it as in Python") from None
    except ZeroDivisionError:
        raise InputError("expression: divides by zero") from None
    except OverflowError:
        raise InputError("expression: too large a number for this function") from None
    except (RecursionError, MemoryError):
        raise InputError("expression: too deeply nested; ask for it in parts") from None
    except ValueError as error:  # InputError too, and functions outside their domain
        raise InputError(f"expression: {error}") from None


def _value(node: ast.expr, text: str) -> Number:
    match node:
        case ast.Constant():
            return _literal(node, text)
        case ast.Name() if node.id in CONSTANTS:
            return CONSTANTS[node.id]
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand, text)
        case ast.UnaryOp(op=ast.UAdd()):
            return _value(node.operand, text)
        case ast.BinOp() if operation := OPERATIONS.get(type(node.op)):
            return bounded(operation(_value(node.left, text), _value(node.right, text)))
        case ast.BinOp(op=ast.BitXor()):
            raise InputError("write ** for a power")
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in FUNCTIONS:
            given = [_value(argument, text) for argument in node.args]
            try:
                return bounded(FUNCTIONS[name](*given))
            except TypeError:
                raise InputError(f"{name} takes other arguments") from None
    part = ast.get_source_segment(text, node) or text
    raise InputError(f"{part[:60]} is no arithmetic that is known here")


def _literal(node: ast.Constant, text: str) -> Number:
    """As it is written: a float would have rounded it."""
    if type(node.value) is int:
        return bounded(Fraction(node.value))
    source = ast.get_source_segment(text, node) or ""
    found = LITERAL.fullmatch(source)
    if type(node.value) is not float or not found:
        raise InputError(f"{source[:60]} is no number that is known here")
    if abs(int(found[1] or 0)) > BITS // 4:  # four bits a digit, at most
        raise InputError(HUGE)
    return Fraction(source)


def bounded(number: Number | int) -> Number:
    if isinstance(number, float):
        if not math.isfinite(number):
            raise OverflowError
        return number
    number = Fraction(number)
    if max(number.numerator.bit_length(), number.denominator.bit_length()) > BITS:
        raise InputError(HUGE)
    return number


def power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        if exponent.denominator == 1:
            size = max(base.numerator.bit_length(), base.denominator.bit_length())
            if (size - 1) * abs(exponent.numerator) > BITS:  # fewer bits than it would have
                raise InputError(HUGE)
            return base**exponent.numerator
        if exponent == Fraction(1, 2):
            return sqrt(base)
    if base < 0 and exponent != int(exponent):
        raise InputError("a root of a negative number is not real")
    return float(base) ** float(exponent)


def sqrt(number: Number) -> Number:
    """Exact where it is a fraction."""
    if number < 0:
        raise InputError("a root of a negative number is not real")
    if isinstance(number, Fraction):
        above, below = math.isqrt(number.numerator), math.isqrt(number.denominator)
        if above**2 == number.numerator and below**2 == number.denominator:
            return Fraction(above, below)
    return math.sqrt(number)


def log(number: Number, base: Number | None = None) -> float:
    return _log(number) if base is None else _log(number) / _log(base)


def _log(number: Number) -> float:
    """Also of integers that are too large for a float."""
    if isinstance(number, Fraction) and number > 0:
        return math.log(number.numerator) - math.log(number.denominator)
    return math.log(number)


def whole(number: Number) -> int:
    if number != math.floor(number):
        raise InputError(f"{written(number)} is not a whole number")
    return math.floor(number)


def factorial(number: Number) -> int:
    n = whole(number)
    if n > BITS:  # n! >= 2**n, from 4 on
        raise InputError(HUGE)
    return math.factorial(n)


def comb(of: Number, taken: Number) -> int:
    n, k = whole(of), whole(taken)
    least = min(k, n - k)  # comb(n, k) >= (n / least)**least >= 2**least
    if least * max(n.bit_length() - 1 - least.bit_length(), 1) > BITS:
        raise InputError(HUGE)
    return math.comb(n, k)


def perm(of: Number, taken: Number) -> int:
    n, k = whole(of), whole(taken)
    # perm(n, k) >= (n - k)**k, and >= k!
    if k <= n and k * max((n - k).bit_length() - 1, 1) > BITS:
        raise InputError(HUGE)
    return math.perm(n, k)


def lcm(*numbers: Number) -> Number:
    found: Number = Fraction(1)
    for number in numbers:
        found = bounded(math.lcm(whole(found), whole(number)))
    return found


def rounded(number: Number, places: Number = Fraction(0)) -> Number:
    digits = whole(places)
    if abs(digits) > BITS // 4:
        raise InputError(HUGE)
    if isinstance(number, float):
        return bounded(round(number, digits))
    return bounded(round(number, digits))


def written(number: Number) -> str:
    """≈ before what is rounded."""
    if isinstance(number, float):
        return f"≈ {number:.15g}"
    above, below = number.numerator, number.denominator
    if below == 1:
        return str(above)
    places = _places(below)
    if places is not None:
        digits = str(abs(above) * 10**places // below).rjust(places + 1, "0")
        return f"{'-' * (above < 0)}{digits[:-places]}.{digits[-places:]}"
    about = SHORT.divide(decimal.Decimal(above), decimal.Decimal(below)).normalize(SHORT)
    exact = f"{above}/{below}"
    return f"{exact} ≈ {about}" if len(exact) <= FRACTION else f"≈ {about}"


def _places(below: int) -> int | None:
    """After the point; None where they do not end, or too late to be written out."""
    for places in range(1, PLACES + 1):
        if 10**places % below == 0:
            return places
    return None


CONSTANTS: dict[str, Number] = {"pi": math.pi, "π": math.pi, "e": math.e, "tau": math.tau}

OPERATIONS: dict[type[ast.operator], Callable[[Any, Any], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: power,
}

FUNCTIONS: dict[str, Callable[..., Number | int]] = {
    "abs": abs, "ceil": math.ceil, "floor": math.floor, "round": rounded,
    "min": min, "max": max, "hypot": math.hypot,
    "sqrt": sqrt, "cbrt": math.cbrt, "exp": math.exp,
    "log": log, "ln": _log, "log2": lambda x: log(x, 2), "log10": lambda x: log(x, 10),
    "sin": math.sin, "cos": math.cos, "tan": math.tan,
    "asin": math.asin, "acos": math.acos, "atan": math.atan, "atan2": math.atan2,
    "sinh": math.sinh, "cosh": math.cosh, "tanh": math.tanh,
    "degrees": math.degrees, "radians": math.radians,
    "factorial": factorial, "comb": comb, "perm": perm,
    "gcd": lambda *numbers: math.gcd(*map(whole, numbers)), "lcm": lcm,
}  # fmt: skip
