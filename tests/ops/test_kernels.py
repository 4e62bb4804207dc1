"""Kernels for TPUs and GPUs, interpreted here: right, and the same for a row anywhere.

That they compile for TPUs is in `tests/parity/test_pods.py`; that GPUs take them is
tried as far as a machine without one can: down to Triton's own language.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from interaction.ops import gpu, tpu

PLATFORMS = pytest.mark.parametrize("platform", [tpu, gpu], ids=["tpu", "gpu"])


def arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape, np.float32) for shape in shapes]


@PLATFORMS
@pytest.mark.parametrize(("M", "K", "N"), [(1, 32, 48), (20, 192, 300), (150, 600, 130)])
def test_products(platform, M, K, N):
    x, w = arrays((2, M, K), (2, K, N))
    want = x.astype(np.float64) @ w
    got = np.asarray(platform.product(x, w, False, interpret=True))
    np.testing.assert_allclose(got, want, atol=3e-4)
    turned = np.ascontiguousarray(np.swapaxes(w, 1, 2))
    got_turned = platform.product(x, turned, True, interpret=True)
    np.testing.assert_allclose(got_turned, want, atol=3e-4)
    one = platform.product(x[:, -1:], w, False, interpret=True)
    assert (np.asarray(one) == got[:, -1:]).all()
    few = platform.product(x, w[..., : N // 2], False, interpret=True)
    assert (np.asarray(few) == got[..., : N // 2]).all()


@PLATFORMS
def test_grouped_products_and_their_gradient(platform):
    sizes = np.array([3, 0, 140, 128, 0], np.int32)
    used, group = sizes.sum(), np.repeat(np.arange(5), sizes)
    x, w, g = arrays((300, 96), (5, 96, 80), (300, 80))
    got = np.asarray(platform.grouped(x, w, sizes, interpret=True))[:used]
    for e in np.unique(group):
        want = platform.product(x[:used][group == e], w[e], False, interpret=True)
        assert (got[group == e] == np.asarray(want)).all()
    outer = platform.grouped_outer(x, g, sizes, interpret=True)
    for e in range(5):
        rows = np.flatnonzero(group == e)
        np.testing.assert_allclose(outer[e], x[rows].T @ g[rows], atol=1e-4)


@PLATFORMS
def test_row_sums(platform):
    (x,) = arrays((300, 500))
    got = np.asarray(platform.row_sum(x, interpret=True))
    np.testing.assert_allclose(got[:, 0], x.sum(1, dtype=np.float64), atol=1e-4)
    assert (np.asarray(platform.row_sum(x[7:8], interpret=True)) == got[7:8]).all()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_gpus_take_the_kernels(dtype):
    of = lambda *shape, dtype=dtype: jax.ShapeDtypeStruct(shape, dtype)  # noqa: E731
    sizes = of(5, dtype=jnp.int32)
    calls = [
        (lambda x, w: gpu.product(x, w, False), (of(2, 20, 192), of(2, 192, 100))),
        (lambda x, w: gpu.product(x, w, True), (of(2, 20, 192), of(2, 100, 192))),
        (gpu.grouped, (of(300, 96), of(5, 96, 80), sizes)),
        (gpu.grouped_outer, (of(300, 96), of(300, 80), sizes)),
    ]
    for kernel, args in calls:
        lowered = jax.jit(kernel).trace(*args).lower(lowering_platforms=("cuda",))
        assert "triton" in lowered.as_text()
