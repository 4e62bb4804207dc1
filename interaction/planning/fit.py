"""Memory that a compiled program plans on one chip."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import jax

from interaction.pod import QUICK

Programs = Mapping[str, jax.stages.Compiled]
Compile = Callable[[dict[str, Any] | None], Programs]
"""With the compiler's options, or its usual ones."""


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


def needed(program: jax.stages.Compiled) -> int:
    """Bytes of a chip that a program takes while it runs."""
    memory = used(program)
    return sum(memory[name] for name in ("arguments", "results", "temporaries"))


def compiled(compile_: Compile, held: float, budget: float) -> Programs | float:
    """The programs, made with the compiler's least effort, or with more where they do not
    fit so (least effort reuses less memory); else the bytes that the largest would need.

    held: bytes of its arguments; budget: of a chip. The compiler refuses what it counts as
    too much, and lets pass what by its own figures of the result is more than a chip has:
    both count as too much here.
    """
    need = 0.0
    for options in (QUICK, None):
        try:
            programs = compile_(options)
        except jax.errors.JaxRuntimeError as error:
            need = _overflow(error, held)
            continue
        need = max(map(needed, programs.values()))
        if need <= budget:
            return programs
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
