"""Memory of one chip, by part."""

from __future__ import annotations

import math
from typing import Any

import jax


def held_bytes(tree: Any) -> int:
    """Of described arrays, on the device that has most of them."""
    total = 0
    for x in jax.tree.leaves(tree):
        shape = x.sharding.shard_shape(x.shape) if x.sharding else x.shape
        total += math.prod(shape) * _width(x.dtype)
    return total


def _width(dtype: Any) -> int:
    return getattr(dtype, "itemsize", 4)


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
