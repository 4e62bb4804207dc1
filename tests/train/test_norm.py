"""The norm that gradients are clipped by: the same bits however a mesh divides them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOUND = """
import json, math
import jax
jax.config.update("jax_num_cpu_devices", 8)
from jax.sharding import PartitionSpec
from interaction.ops import fast, invariant
from interaction.parallel.mesh import TABLE, make_mesh
from interaction.parallel.placement import EVERYWHERE, over
from interaction.params import Spec, zeros
from interaction.train.state import sum_of_squares

SHAPES = {("repeat", "expert", "embed", None): (3, 8, 48, 5), ("vocab", "embed"): (72, 40)}
MESHES = [dict(zip(("fsdp", "expert", "tensor"), n)) for n in
          [(1, 1, 1), (8, 1, 1), (1, 1, 8), (2, 4, 1), (4, 1, 2)]]

def of(ops, sizes, axes, g):
    mesh = make_mesh(**sizes, devices=jax.devices()[: math.prod(sizes.values())])
    at, spec = PartitionSpec(*(TABLE[axis] for axis in axes)), Spec(g.shape, axes, zeros)
    run = over(mesh, lambda g: sum_of_squares(ops, spec, g), (at,), EVERYWHERE)
    return float(jax.jit(run)(g))

for axes, shape in SHAPES.items():
    g = jax.random.normal(jax.random.key(0), shape)
    print(json.dumps({
        "g": g.tolist(),
        "invariant": [of(invariant, sizes, axes, g) for sizes in MESHES],
        "fast": [of(fast, sizes, axes, g) for sizes in MESHES],
    }))
"""


@pytest.fixture(scope="module")
def found() -> list[dict]:
    done = subprocess.run(
        [sys.executable, "-c", FOUND],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_it_is_the_sum_of_squares(found):
    assert len(found) == 2
    for one in found:
        want = np.square(np.array(one["g"])).sum()
        np.testing.assert_allclose(one["invariant"] + one["fast"], want, rtol=1e-6)


def test_its_bits_are_the_same_on_every_mesh(found):
    for one in found:
        assert len(set(one["invariant"])) == 1
