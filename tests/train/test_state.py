"""A new state is born on its mesh: the values of one device, a part on each of eight. Its
shardings are said as those of a checkpoint that is read: other words for the same places
would be another program, compiled again where a run goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, re, shutil, sys, types
from pathlib import Path
import jax
jax.config.update("jax_num_cpu_devices", 8)
import jax.numpy as jnp, numpy as np
from interaction import model
from interaction.config import ModelConfig
from interaction.modality.audio import PATCH_DIM
from interaction.package import ASSETS, save_model
from interaction.parallel.mesh import make_mesh
from interaction.parallel.sharding import shardings
from interaction.params import initialise
from interaction.settings import load
from interaction.tensors import TensorFiles
from interaction.train.begin import begin_from, with_statistics
from interaction.train.optimiser import optimiser
from interaction.train.state import create, described_state

small = ["layers=2", "global_layers=(1,)", "dense_layers=()"]
config = load("tests/tiny.py", [f"--config.model.{item}" for item in small])
cfg = ModelConfig.from_mapping(config.model.to_dict())
mesh = make_mesh(fsdp=2, expert=2, tensor=2)
tx = optimiser(config.train, cfg, mesh)

def differing(one, many):
    assert jax.tree.structure(one) == jax.tree.structure(many)
    pairs = zip(jax.tree.leaves_with_path(one), jax.tree.leaves(many), strict=True)
    return [jax.tree_util.keystr(path) for (path, a), b in pairs
            if a.dtype != b.dtype or np.asarray(a).tobytes() != np.asarray(b).tobytes()]

def elsewhere(like, tree):
    pairs = zip(jax.tree.leaves_with_path(like), jax.tree.leaves(tree), strict=True)
    return [jax.tree_util.keystr(path) for (path, a), b in pairs
            if (a.shape, a.dtype, a.sharding) != (b.shape, b.dtype, b.sharding)]

found = {}
like = described_state(cfg, tx, mesh)
one, many = create(cfg, tx, 3), create(cfg, tx, 3, mesh)
found["new"] = differing(one, many), elsewhere(like, many)
found["leaves"] = len(jax.tree.leaves(one.params))

specs = model.specs(cfg)
some = {"embed": {"tokens": specs["embed"]["tokens"]},
        "layers": [[{"mlp": {"gate": specs["layers"][0][0]["mlp"]["gate"]}}]]}
born = jax.jit(lambda key: initialise(some, key, shardings(cfg, mesh)))
program = born.lower(jax.random.key(0)).compile()
sent = r"all-\\w+|collective-\\w+|reduce-scatter|send|recv"
found["sent"] = re.findall(rf"\\b({sent})\\(", program.as_text())

halves = jax.tree.map(lambda p: p.astype(jnp.bfloat16), one.params)
save_model(Path(sys.argv[1]), cfg, halves)
shutil.copy(ASSETS / "nano" / "waveform.safetensors", sys.argv[1])
largest, read = {}, TensorFiles.read
def watched(self, name, index=...):
    out = read(self, name, index)
    largest[name] = max(largest.get(name, 0), out.size)
    return out
begun = begin_from(sys.argv[1], cfg, None)
TensorFiles.read = watched
opened = begin_from(sys.argv[1], cfg, mesh)
found["init"] = differing(begun, opened), elsewhere(like.params, opened)
found["rounded"] = differing(jax.tree.map(lambda p: p.astype(jnp.float32), halves), begun)
stored = TensorFiles(Path(sys.argv[1])).entries
found["read"] = {n: largest[n] / int(np.prod(stored[n].shape))
                 for n in ("layers.1.mlp.gate", "embed.tokens")}

rng = np.random.default_rng(0)
row = {"voice": rng.random((3, PATCH_DIM), np.float32), "voice_at": np.array([5, 9, -1])}
make = types.SimpleNamespace(map=lambda i: row)
one, many = (with_statistics(state, make) for state in (one, many))
found["statistics"] = differing(one, many), elsewhere(like, many)
mels = row["voice"][:2].reshape(-1, 80)
found["mean"] = float(abs(np.asarray(one.params["flow"]["mean"])[:80] - mels.mean(0)).max())
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path_factory.mktemp("state") / "model"],
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize("what", ["new", "init", "statistics"])
def test_the_bits_of_one_device_where_the_mesh_wants_them(found, what):
    differing, elsewhere = found[what]
    assert not differing and not elsewhere


def test_devices_need_nothing_of_each_other(found):
    assert found["leaves"] > 50 and not found["sent"]


def test_another_model_is_read_by_the_part_and_in_the_runs_dtypes(found):
    assert not found["rounded"]
    assert found["read"] == {"layers.1.mlp.gate": 1 / 8, "embed.tokens": 1 / 4}


def test_statistics_are_those_of_the_mel(found):
    assert found["mean"] < 1e-5
