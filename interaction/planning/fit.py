"""Memory that a compiled program plans on one chip, by the compiler's own report.

A program's `memory_analysis()` will not do: of a large one it counts temporaries that share
their bytes with what is given (151.5 MB of nano's training step, of which 132.3).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from interaction.pod import QUICK

Programs = Mapping[str, jax.stages.Compiled]
Compile = Callable[[dict[str, Any]], Programs]
"""With options of the compiler, each program in its turn."""


class Memory(NamedTuple):
    """Bytes of a chip: of arguments, of results that are not written over arguments, of
    temporaries; and of arguments that results replace."""

    arguments: int
    results: int
    temporaries: int
    replaced: int

    @property
    def needed(self) -> int:
        """While the program runs."""
        return self.arguments + self.results + self.temporaries


def compiled(compile_: Compile) -> tuple[Programs, dict[str, Memory]] | float:
    """The programs and their memory, made with the compiler's least effort, or with more
    where it refuses them so (least effort may reuse less memory); else the bytes that it
    says one would need."""
    need = 0.0
    for effort in (QUICK, {}):
        with tempfile.TemporaryDirectory() as place:
            try:
                programs = compile_(effort | {"xla_dump_to": place})
            except jax.errors.JaxRuntimeError as error:
                need = _overflow(error)
                continue
            pairs = zip(programs.items(), _totals(Path(place)), strict=True)
            return programs, {name: _memory(made, total) for (name, made), total in pairs}
    return need


def _totals(place: Path) -> Iterator[int]:
    """Bytes of HBM of each program, as they were compiled."""
    reports = place.glob("module_*memory-usage-report.txt")
    for path in sorted(reports, key=lambda p: int(p.name.split(".")[0].split("_")[1])):
        text = path.read_text()
        found = re.search(r"Memory Space: default \(color=0\)\nTotal bytes: (\d+)", text)
        assert found, f"a new form of the compiler's report: {text[:200]}"
        yield int(found[1])


def _memory(program: jax.stages.Compiled, total: int) -> Memory:
    m = program.memory_analysis()
    assert m is not None  # TPU's compiler gives it
    given, fresh = m.argument_size_in_bytes, m.output_size_in_bytes - m.alias_size_in_bytes
    return Memory(given, fresh, total - given - fresh, m.alias_size_in_bytes)


def _overflow(error: Exception) -> float:
    """Bytes that a program would have needed, from the compiler's refusal: arguments and
    all, whichever way it says so."""
    text = str(error)
    match = re.search(r"(?:Used |HLO temporaries \()([\d.]+)([KMGT])", text)
    if "RESOURCE_EXHAUSTED" not in text or not match:
        raise error
    return float(match[1]) * 2 ** {"K": 10, "M": 20, "G": 30, "T": 40}[match[2]]
