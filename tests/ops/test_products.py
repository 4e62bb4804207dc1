"""Products and sums have their defined value, for every shape."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interaction.ops import products, sums

SHAPES = [(192, 640), (512, 192), (1280, 192), (192, 9), (192, 1205), (16, 256), (3, 5)]


def arrays(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape, np.float32) for shape in shapes]


def defined(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Blocks of the chain, added in order."""
    total = None
    for a in range(0, x.shape[1], products.BLOCK):
        b = a + products.BLOCK
        part = products.expected(x[:, a:b], w[a:b])
        total = part if total is None else total + part
    return total


def test_this_machine_takes_the_fast_way():
    assert products.kernels_follow()


@pytest.mark.parametrize(("K", "N"), SHAPES)
def test_rows_have_their_value_in_any_number(K, N):
    x, w = arrays(0, (300, K), (K, N))
    want = defined(x, w)
    for M in (1, 2, 7, 16, 31, 48, 63, 64, 65, 300):
        got = jax.jit(products.product)(x[:M], w)
        assert (np.asarray(got) == want[:M]).all(), M
        got = jax.jit(products.product_turned)(x[:M], np.ascontiguousarray(w.T))
        assert (np.asarray(got) == want[:M]).all(), M


def test_the_definition_written_as_a_loop_is_the_same():
    x, w = arrays(1, (9, 64), (64, 33))
    assert (np.asarray(jax.jit(products.chain)(x, w)) == products.expected(x, w)).all()


def test_without_such_kernels_the_slow_way_gives_the_same(monkeypatch):
    x, w = arrays(2, (5, 700), (700, 40))
    want = jax.jit(products.product)(x, w)
    monkeypatch.setattr(products, "kernels_follow", lambda: False)
    got = jax.jit(lambda x, w: products.product(x, w))(x, w)
    assert (got == want).all()


def test_other_kernels_are_noticed(monkeypatch):
    monkeypatch.setattr(products, "_in_order", products._dot)
    products.kernels_follow.cache_clear()
    with pytest.warns(UserWarning, match="in another order"):
        assert not products.kernels_follow()
    monkeypatch.undo()
    products.kernels_follow.cache_clear()


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 5), st.integers(1, 70), st.integers(1, 80), st.integers(1, 50))
def test_batched_products_are_those_of_each(B, M, K, N):
    x, w = arrays(B + M, (B, M, K), (B, K, N))
    together = jax.jit(products.product)(x, w)
    for b in range(B):
        assert (together[b] == jax.jit(products.product)(x[b], w[b])).all()


def test_gradients_are_those_of_a_product():
    x, w = arrays(3, (20, 700), (700, 30))
    pull = lambda f: jax.grad(lambda x, w: (f(x, w) ** 2).sum(), (0, 1))(x, w)  # noqa: E731
    for got, want in zip(pull(products.product), pull(jnp.matmul), strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-3)


@pytest.mark.parametrize("n", [1, 5, 16, 17, 192, 512, 513, 5000])
def test_row_sums_and_maxima(n):
    (x,) = arrays(4, (40, n))
    total, top = jax.jit(sums.row_sum)(x), jax.jit(sums.row_max)(x)
    np.testing.assert_allclose(total[:, 0], x.sum(1, dtype=np.float64), atol=2e-3)
    assert (np.asarray(top)[:, 0] == x.max(1)).all()
    for rows in (1, 3):
        assert (jax.jit(sums.row_sum)(x[:rows]) == total[:rows]).all()
