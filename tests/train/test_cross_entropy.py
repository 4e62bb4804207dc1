"""Cross-entropy in chunks and over devices, against logits all at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys

PROGRAM = """
import json, sys
import jax
jax.config.update("jax_num_cpu_devices", 2)
import jax.numpy as jnp, numpy as np
from interaction import model
from interaction.config import ModelConfig
from interaction.params import initialise
from interaction.parallel.mesh import make_mesh
from interaction.parallel.placement import EVERYWHERE, of_params, over
from interaction.settings import load
from interaction.train import cross_entropy as ce

config = load("tests/tiny.py", [])
cfg = ModelConfig.from_mapping(config.model.to_dict())
N = ce.CHUNK + 300  # two chunks, the second one not full
every = initialise(model.specs(cfg), jax.random.key(0))
names = ("unembed", "unembed_controls")
params = {n: 9 * every[n] for n in names}
rng = np.random.default_rng(0)
hidden = rng.standard_normal((N, cfg.width)).astype(np.float32)
known = np.r_[np.arange(cfg.vocab_used), cfg.controls_at + np.arange(9)]
target = rng.choice(known, N).astype(np.int32)
weight = rng.random((2, N)).astype(np.float32)

def chunks(params, hidden, target):
    return ce.cross_entropy(params, cfg, hidden, target)

def at_once(params, hidden, target):
    logits = model.logits(params, cfg, hidden)
    log_z = jax.nn.logsumexp(logits, -1)
    chosen = jnp.take_along_axis(logits, target[:, None], 1)[:, 0]
    return log_z - chosen, log_z, (logits.argmax(-1) == target).astype(jnp.float32)

def run(f, mesh=None):
    def loss(params, hidden, target):
        out = f(params, hidden, target)
        return (out[0] * weight[0] + out[1] * weight[1]).sum(), out
    def both(params, hidden, target):
        (_, out), grads = jax.value_and_grad(loss, (0, 1), has_aux=True)(
            params, hidden, target)
        return tuple(out), grads
    at = of_params(cfg, mesh)
    at = at and {n: at[n] for n in names}
    program = over(mesh, both, (at, EVERYWHERE, EVERYWHERE), (EVERYWHERE, (at, EVERYWHERE)))
    out, grads = jax.jit(program)(params, hidden, target)
    return [np.asarray(x) for x in (*out, *jax.tree.leaves(grads))]

one, expected = run(chunks), run(at_once)
mesh = make_mesh(tensor=2)
two = run(chunks, mesh)
far = lambda a, b: float(np.abs(a - b).max() / np.abs(b).max())
print(json.dumps({
    "off": [far(a, b) for a, b in zip(one, expected, strict=True)],
    "differ": [int((a != b).sum()) for a, b in zip(one[:3], two[:3], strict=True)],
    "off_two": [far(a, b) for a, b in zip(two, one, strict=True)],
    "right": float(one[2].mean()),
}))
"""


def test_chunks_and_devices_change_nothing():
    env = os.environ | {"JAX_PLATFORMS": "cpu"}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout.splitlines()[-1])
    assert max(found["off"]) < 2e-6
    assert found["differ"] == [0, 0, 0]  # loss, log z, right: the same bits on two devices
    assert max(found["off_two"]) < 2e-6
    assert 0 < found["right"] < 0.5
