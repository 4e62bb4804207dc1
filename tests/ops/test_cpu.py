"""On CPUs products and sums have their defined value, for every shape."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interaction.ops import cpu, products, sums
from interaction.rounding import rounded

ROOT = Path(__file__).parents[2]
SHAPES = [(192, 640), (512, 192), (1280, 192), (192, 9), (192, 1205), (16, 256), (3, 5)]


def arrays(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape, np.float32) for shape in shapes]


def defined(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Blocks of the chain, added in order."""
    total = None
    for a in range(0, x.shape[1], cpu.BLOCK):
        b = a + cpu.BLOCK
        part = cpu.expected(x[:, a:b], w[a:b])
        total = part if total is None else total + part
    return total


def test_this_machine_takes_the_fast_way():
    assert cpu.machine_form()


@pytest.mark.parametrize(("K", "N"), SHAPES)
def test_rows_have_their_value_in_any_number(K, N):
    x, w = arrays(0, (300, K), (K, N))
    want = defined(x, w)
    for M in (1, 2, 7, 16, 31, 48, 63, 64, 65, 300):
        got = jax.jit(products.product)(x[:M], w)
        assert (np.asarray(got) == want[:M]).all(), M
        got = jax.jit(products.product_turned)(x[:M], np.ascontiguousarray(w.T))
        assert (np.asarray(got) == want[:M]).all(), M


ON_DEVICES = """
import jax
jax.config.update("jax_num_cpu_devices", 8)
import numpy as np
from jax.sharding import PartitionSpec as P
from interaction.ops import cpu, products
from interaction.parallel.mesh import make_mesh
from interaction.parallel.placement import over

mesh, rng = make_mesh(data=8, devices=jax.devices()), np.random.default_rng(0)
normal = lambda *shape: rng.standard_normal(shape, np.float32)
for K, N in ((192, 640), (192, 64), (48, 9), (512, 192), (16, 256)):
    w = normal(K, N)
    for M in (1, 2, 7):
        x = normal(8 * M, K)
        want = cpu.expected(x, w)
        for op, right in ((products.product, w), (products.product_turned, w.T.copy())):
            got = jax.jit(over(mesh, op, (P("data"), P()), P("data")))(x, right)
            assert (np.asarray(got) == want).all(), (M, K, N, op)
"""


def test_rows_have_their_value_on_devices_of_their_own():
    """Programs for several devices are compiled in other ways."""
    command = [sys.executable, "-c", ON_DEVICES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_definition_written_as_a_loop_is_the_same():
    x, w = arrays(1, (9, 64), (64, 33))
    assert (np.asarray(jax.jit(cpu.chain)(x, w)) == cpu.expected(x, w)).all()


def test_without_such_kernels_the_slow_way_gives_the_same(monkeypatch):
    x, w = arrays(2, (5, 700), (700, 40))
    want = jax.jit(products.product)(x, w)
    monkeypatch.setattr(cpu, "machine_form", lambda: None)
    got = jax.jit(lambda x, w: products.product(x, w))(x, w)
    assert (got == want).all()


def test_other_kernels_are_noticed(monkeypatch):
    monkeypatch.setattr(cpu, "_in_order", lambda form, *args: cpu.dot(*args))
    cpu.machine_form.cache_clear()
    with pytest.warns(UserWarning, match="an order of their own"):
        assert cpu.machine_form() is None
    monkeypatch.undo()
    cpu.machine_form.cache_clear()


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 5), st.integers(1, 70), st.integers(1, 80), st.integers(1, 50))
def test_batched_products_are_those_of_each(B, M, K, N):
    x, w = arrays(B + M, (B, M, K), (B, K, N))
    together = jax.jit(products.product)(x, w)
    for b in range(B):
        assert (together[b] == jax.jit(products.product)(x[b], w[b])).all()


def test_a_rounded_product_is_not_contracted_with_a_sum():
    a, b, c = arrays(5, (1000,), (1000,), (1000,))
    got = jax.jit(lambda a, b, c: rounded(a * b) + c)(a, b, c)
    assert (np.asarray(got) == a * b + c).all()
    once = (a.astype(np.float64) * b + c).astype(np.float32)
    assert (np.asarray(got) != once).any()  # these numbers tell


def test_gradients_are_those_of_a_product():
    x, w = arrays(3, (20, 700), (700, 30))
    pull = lambda f: jax.grad(lambda x, w: (f(x, w) ** 2).sum(), (0, 1))(x, w)  # noqa: E731
    for got, want in zip(pull(products.product), pull(jnp.matmul), strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-3)


GRADIENTS = [(512, 192, 64), (300, 192, 9), (37, 64, 48), (1200, 64, 64)]


@pytest.mark.parametrize(("rows", "k", "n"), GRADIENTS)
def test_gradients_have_the_defined_value(rows, k, n):
    """So they do not depend on the number of threads, which follows that of devices."""
    x, w, g = arrays(8, (rows, k), (k, n), (rows, n))
    dx, dw = jax.jit(lambda x, w, g: jax.vjp(products.product, x, w)[1](g))(x, w, g)
    assert (np.asarray(dw) == defined(x.T, g)).all()
    assert (np.asarray(dx) == defined(g, w.T)).all()


@pytest.mark.parametrize("n", [1, 5, 16, 17, 192, 512, 513, 5000])
def test_row_sums_and_maxima(n):
    (x,) = arrays(4, (40, n))
    total, top = jax.jit(sums.row_sum)(x), jax.jit(products.row_max)(x)
    np.testing.assert_allclose(total[:, 0], x.sum(1, dtype=np.float64), atol=2e-3)
    assert (np.asarray(top)[:, 0] == x.max(1)).all()
    for rows in (1, 3):
        assert (jax.jit(sums.row_sum)(x[:rows]) == total[:rows]).all()


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(0, 5))
def test_grouped_rows_are_those_of_products(sizes, rest):
    """Rows behind the last group may hold anything."""
    x, w = arrays(len(sizes), (sum(sizes) + rest + 1, 24), (len(sizes), 24, 18))
    got = jax.jit(products.grouped)(x, w, np.array(sizes, np.int32))
    at = 0
    for group, n in enumerate(sizes):
        want = jax.jit(products.product)(x[at : at + n], w[group]) if n else ()
        assert (np.asarray(got[at : at + n]) == np.asarray(want).reshape(n, 18)).all()
        at += n


def test_grouped_gradients_are_those_of_products():
    x, w = arrays(6, (40, 24), (3, 24, 18))
    sizes, group = np.array([25, 0, 15], np.int32), np.repeat([0, 2], [25, 15])
    mine = lambda x, w: (products.grouped(x, w, sizes) ** 2).sum()  # noqa: E731
    plain = lambda x, w: (jnp.einsum("mk,mkn->mn", x, w[group]) ** 2).sum()  # noqa: E731
    pairs = zip(jax.grad(mine, (0, 1))(x, w), jax.grad(plain, (0, 1))(x, w), strict=True)
    for got, want in pairs:
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-3)
