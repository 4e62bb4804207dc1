"""A moving average of the parameters, which often scores better than the last ones."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from interaction.errors import InputError
from interaction.params import Params
from interaction.rounding import rounded


def decay(train: ConfigDict) -> float:
    """`train.ema`; 0: none is kept. Raises InputError."""
    value = float(train.get("ema", 0.0))
    if not 0 <= value < 1:
        raise InputError(f"train.ema={value}; use 0 for none, or a decay below 1")
    return value


def described(params: Params) -> Params:
    """Shapes of the average of described parameters."""
    return jax.tree.map(lambda p: p.update(dtype=jnp.float32), params)


@jax.jit
def begin(params: Params) -> Params:
    """A copy, in float32: with a decay near 1 other dtypes would never move."""
    return jax.tree.map(lambda p: jnp.copy(p.astype(jnp.float32)), params)


@functools.partial(jax.jit, donate_argnames="average")
def move(average: Params, params: Params, decay: float) -> Params:
    """average + (1 - decay) (params - average)."""
    return jax.tree.map(
        lambda a, p: rounded(a + (1 - decay) * (p.astype(a.dtype) - a)), average, params
    )
