"""Memory that a compiled program plans on one chip."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import jax

from interaction.pod import QUICK

T = TypeVar("T")


def used(program: jax.stages.Compiled) -> dict[str, int]:
    """What the compiler plans on a chip: arguments, results that are not written over
    arguments, temporaries, and the bytes of arguments that results replace."""
    m = program.memory_analysis()
    assert m is not None  # TPU and CPU backends give it
    return {
        "arguments": m.argument_size_in_bytes,
        "results": m.output_size_in_bytes - m.alias_size_in_bytes,
        "temporaries": m.temp_size_in_bytes,
        "replaced": m.alias_size_in_bytes,
    }


def compiled(compile_: Callable[[dict[str, Any] | None], T], held: float) -> T | float:
    """The program, made with the compiler's least effort, or with more where it does not
    fit so (least effort reuses less memory); else the bytes that it would have needed,
    beside the `held` bytes of its arguments or with them, as the compiler has it."""
    need = 0.0
    for options in (QUICK, None):
        try:
            return compile_(options)
        except jax.errors.JaxRuntimeError as error:
            need = _overflow(error, held)
    return need


def _overflow(error: Exception, held: float) -> float:
    """Bytes that a program would have needed, from the compiler's refusal."""
    text = str(error)
    everything = re.search(r"Used ([\d.]+)([KMGT]) of", text)
    temporaries = re.search(r"HLO temporaries \(([\d.]+)([KMGT])\)", text)
    match = everything or temporaries
    if "RESOURCE_EXHAUSTED" not in text or not match:
        raise error
    need = float(match[1]) * 2 ** {"K": 10, "M": 20, "G": 30, "T": 40}[match[2]]
    return need if everything else need + held
