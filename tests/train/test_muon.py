"""Muon: against optax's own, and whatever a mesh divides."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax.contrib import scale_by_muon

from interaction import model, ops
from interaction.errors import InputError
from interaction.params import flatten, initialise
from interaction.settings import load
from interaction.train import muon
from interaction.train.optimiser import optimiser

TINY = Path(__file__).parents[1] / "tiny.py"


def optax_orthogonal(x):
    """The first update of a momentum is its gradient's direction."""
    tx = scale_by_muon(muon.COEFFICIENTS, muon.STEPS)
    return tx.update(x, tx.init(x))[0]


@pytest.mark.parametrize("shape", [(24, 64), (64, 24), (40, 40)])
def test_a_matrix_becomes_what_optax_makes_of_it(tiny, shape):
    x = jax.random.normal(jax.random.key(0), shape)
    got = muon.orthogonal(ops.of(tiny), x)
    want = optax_orthogonal(x)
    np.testing.assert_allclose(got, want, atol=3e-5)
    assert 0.4 < np.linalg.svd(got, compute_uv=False).min()


def test_moments_are_kept_in_dtypes_that_hold_them(tiny):
    t = load(TINY).train
    t.moments_dtype = "int8"
    with pytest.raises(InputError, match="train.moments_dtype=int8: one of float32"):
        optimiser(t, tiny, None)


def test_matrices_take_muon_and_the_rest_adam(tiny):
    """As optax's own, of which each does its part."""
    t = load(TINY).train
    t.muon, t.weight_decay, t.steps, t.warmup = True, 0.0, 10, 1
    params = initialise(model.specs(tiny), jax.random.key(0))
    tx = optimiser(t, tiny, None)
    state, step = tx.init(params), jax.jit(tx.update)
    matrices, flat = muon.names(tiny), flatten(params)
    assert {name.rsplit(".", 1)[1] for name in matrices} <= muon.MATRICES
    name = next(n for n in sorted(matrices) if n.endswith("mlp.gate"))
    adam = optax.scale_by_adam(b2=0.98)
    table = adam.init(flat["unembed"])
    mean = jnp.zeros_like(flat[name])
    for i in range(3):
        grads = jax.tree.map(lambda p, i=i: jnp.cos(p * (7 + i)), params)
        updates, state = step(grads, state, params)
        moved, g = flatten(updates), flatten(grads)
        want, table = adam.update(g["unembed"], table)
        rate = float(-(moved["unembed"] / want).mean()) if i else 0.0
        np.testing.assert_allclose(moved["unembed"], -rate * want, atol=1e-6)
        mean = 0.95 * mean + 0.05 * g[name]
        ahead = (0.95 * mean + 0.05 * g[name]).reshape(-1, *mean.shape[-2:])
        one = optax_orthogonal(ahead[0])
        want = -rate * 0.2 * max(one.shape) ** 0.5 * one
        got = moved[name].reshape(ahead.shape)[0]
        np.testing.assert_allclose(got, want, atol=1e-4 * max(rate, 1e-3))
    kept = [x for x in jax.tree.leaves(state.nu)]
    assert len(kept) == len(flat) - len(matrices)  # Muon keeps no second moment


ON_MESHES = """
import jax, numpy as np, sys
from interaction.parallel.mesh import make_mesh, virtual_devices
virtual_devices(8)
from interaction.config import ModelConfig
from interaction.parallel.placement import of_params, place
from interaction.errors import InputError
from interaction.params import flatten, initialise
from interaction.settings import load
from interaction import model
from interaction.train import muon
cfg = ModelConfig.from_mapping(load(sys.argv[1], []).model.to_dict())
flat = flatten(initialise(model.specs(cfg), jax.random.key(0)))
momenta = {n: flat[n] for n in muon.names(cfg)}
run = jax.jit(muon.directions, static_argnums=(0, 1))
whole = run(cfg, None, momenta)
for sizes in ({"fsdp": 4, "tensor": 2}, {"fsdp": 2, "expert": 2, "tensor": 2}):
    mesh = make_mesh(**sizes)
    at = flatten(of_params(cfg, mesh))
    parts = {n: place(mesh, x, at[n]) for n, x in momenta.items()}
    out = run(cfg, mesh, parts)
    for n, x in whole.items():
        assert out[n].sharding.is_equivalent_to(parts[n].sharding, x.ndim), n
        np.testing.assert_array_equal(np.asarray(out[n]), np.asarray(x), n)
print("equal")
"""


def test_a_mesh_that_divides_matrices_changes_no_bit():
    done = subprocess.run(
        [sys.executable, "-c", ON_MESHES, str(TINY)], capture_output=True, text=True
    )
    assert done.stdout.strip() == "equal", done.stderr[-2000:]
