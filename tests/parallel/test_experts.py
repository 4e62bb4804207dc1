"""Experts on devices of their own: rows sent out and back, on eight virtual devices."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json
import jax
jax.config.update("jax_num_cpu_devices", 8)
import jax.numpy as jnp, numpy as np
from jax.sharding import PartitionSpec as P
from interaction.ops import fast, invariant
from interaction.ops.dispatch import Experts
from interaction.ops.experts import experts
from interaction.parallel.collectives import fanned
from interaction.parallel.mesh import ROWS, make_mesh
from interaction.parallel.placement import over

N, A, D, F, X = 64, 4, 32, 16, 16
rng = np.random.default_rng(0)
normal = lambda *shape: rng.standard_normal(shape).astype(np.float32)
held = Experts(normal(X, D, F) * 0.2, normal(X, D, F) * 0.2, normal(X, F, D) * 0.2)
x, g, w = normal(N, D), normal(N, D), rng.random((N, A)).astype(np.float32)
scores = normal(N, X)
routings = {
    "even": np.argsort(-scores, 1)[:, :A],
    "skewed": np.argsort(-scores - 9 * (np.arange(X) < 3), 1)[:, :A],  # several rounds
    "one device": np.argsort(-scores - 99 * (np.arange(X) < A), 1)[:, :A],
}

def by_numpy(chosen):
    y = np.zeros((N, D))
    for n in range(N):
        for a, e in enumerate(chosen[n]):
            gate, up = x[n] @ held.gate_XDF[e], x[n] @ held.up_XDF[e]
            y[n] += (gate / (1 + np.exp(-gate)) * up * w[n, a]) @ held.down_XFD[e]
    return y

def program(ops, sizes):
    def loss(x, w, held, chosen, g):
        x, w = (fanned(a, ("tensor",), ops.all_reduce) for a in (x, w))
        y = experts(ops, x, chosen, w, held)
        return (y.astype(jnp.float32) * g).sum(), y
    def part(*args):
        (_, y), grads = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(*args)
        held = jax.tree.map(lambda a: ops.all_reduce(a, ("data", "fsdp")), grads[2])
        return y, grads[0], grads[1], *held
    n = int(np.prod(list(sizes.values()) or [1]))
    mesh = make_mesh(**sizes, devices=jax.devices()[:n])
    by, at = P(ROWS), P(("tensor", "expert"))
    return jax.jit(over(mesh, part, (by, by, at, by, by), (by, by, by, at, at, at)))

found = []
for ops, dtype in ((invariant, "float32"), (invariant, "bfloat16"), (fast, "float32")):
    sizes = [{}, {"expert": 8}, {"data": 2, "expert": 2, "tensor": 2}]
    programs = [program(ops, s) for s in sizes]
    for name, chosen in routings.items():
        args = (x.astype(dtype), w, held, chosen.astype(np.int32), g)
        one, *others = [[np.asarray(a, np.float32) for a in p(*args)] for p in programs]
        wrong = float(np.abs(one[0] - by_numpy(chosen)).max())
        for size, got in zip(sizes[1:], others, strict=True):
            off = [float(np.abs(a - b).max() / np.abs(a).max())
                   for a, b in zip(one, got, strict=True)]
            found.append({
                "case": f"{name} {ops.__name__.split('.')[-1]} {dtype} {size}",
                "invariant": ops is invariant, "dtype": dtype, "wrong": wrong,
                "differing": int((one[0] != got[0]).sum()), "off": off,
            })
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    env = os.environ | {"JAX_PLATFORMS": "cpu"}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout.splitlines()[-1])


def test_results_are_those_of_one_device_to_the_bit(found):
    bad = [case["case"] for case in found if case["invariant"] and case["differing"]]
    assert not bad


def test_results_are_right(found):
    bound = {"float32": 2e-5, "bfloat16": 0.1}
    assert not [c["case"] for c in found if c["wrong"] > bound[c["dtype"]]]


def test_gradients_agree_with_those_of_one_device(found):
    bound = {"float32": 2e-6, "bfloat16": 2e-2}
    bad = [(c["case"], c["off"]) for c in found if max(c["off"]) > bound[c["dtype"]]]
    assert not bad
