"""Sums over the leaves of a batch: the same bits on one device as on many."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from interaction.train.state import sum_of_leaves

X = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)


@pytest.mark.parametrize("n", [1, 2, 8])
def test_leaves_are_added_as_a_tree(n):
    parts = list(X[:n])
    while len(parts) > 1:
        parts = [a + b for a, b in zip(parts[0::2], parts[1::2], strict=True)]
    got = jax.jit(lambda x: sum_of_leaves(lambda i: x[i], n))(X)
    assert (np.asarray(got) == parts[0]).all()


@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("n", [1, 2, 8])
def test_zeros_are_positive(n, zero):
    """Also what a compiler knows to be zero, as the gradient of what is not learnt."""

    @jax.jit
    def known() -> jax.Array:
        return sum_of_leaves(lambda i: jnp.full(3, zero), n)

    given = jax.jit(lambda x: sum_of_leaves(lambda i: x[i], n))
    for got in (known(), given(np.full((n, 3), zero, np.float32))):
        assert (np.asarray(got) == 0).all() and not np.signbit(got).any()
