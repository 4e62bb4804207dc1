"""Memory that a compiled program plans on one chip."""

from __future__ import annotations

import jax


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
