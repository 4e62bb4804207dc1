"""A float that has its own rounding."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def rounded(x: jax.Array) -> jax.Array:
    """x, rounded before it is used.

    A compiler may contract a product and the sum that it goes into to one fused
    multiply-add, which rounds once, or a product with a reciprocal to a division: where it
    has both in one piece, which other programs need not. A selection between them ends
    that. (XLA's CPU backend drops an optimization barrier, a conversion there and back, or
    a rounding to float32 before it gets there.)
    """
    return jnp.where(x == x, x, jnp.nan)
