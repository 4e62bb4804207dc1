"""Rows sorted by group: what a stable sort gives."""

from __future__ import annotations

import jax
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from interaction.ops.groups import sort

ROWS, GROUPS = 700, 17  # of three runs, the last one not full

by_counting = jax.jit(sort, static_argnums=1)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(0, GROUPS))
def test_as_a_stable_sort(seed, most):
    group = np.random.default_rng(seed).integers(0, most + 1, ROWS).astype(np.int32)
    found = by_counting(group, GROUPS)
    order = np.argsort(group, kind="stable")
    assert (found.order == order).all()
    assert (found.place == np.argsort(order)).all()
    assert (found.sizes == np.bincount(group, minlength=GROUPS + 1)[:GROUPS]).all()


def test_fewer_rows_than_a_run():
    found = by_counting(np.array([2, 0, 2, 1, 0], np.int32), 2)
    assert found.order.tolist() == [1, 4, 3, 0, 2]  # rows of group 2, none, behind
    assert found.sizes.tolist() == [2, 1]
