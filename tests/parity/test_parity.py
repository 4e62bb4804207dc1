"""The parity tool: 0 differing bits, and red at the right place when something is wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from interaction import parity, score
from interaction.config import ModelConfig
from interaction.layers import conv, moe
from interaction.ops import cpu, invariant
from interaction.parity.bits import compare
from interaction.parity.forced import in_blocks, stages, valid
from interaction.parity.sampled import converse, records
from interaction.parity.subject import random_subject, random_talk

ROOT = Path(__file__).parents[2]
SLOTS, TURNS = 4, 14


def tool(tmp_path: Path, *extra: str) -> tuple[int, list[dict]]:
    path = tmp_path / "parity.json"
    command = [sys.executable, "-m", "interaction.parity", "--config=tests/tiny.py"]
    small = ["--config.model.layers=2", "--config.model.global_layers=(1,)"]
    done = subprocess.run(
        [*command, *small, f"--report={path}", "--slots=8", "--turns=16", *extra],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert path.exists(), done.stderr
    return done.returncode, json.loads(path.read_text())["rows"]


def test_no_bit_differs(tmp_path):
    """A mesh of every axis but data, and two processes. (Batches and blocks are tried
    below, in this process; a training step on other meshes in `tests/train/test_mesh.py`.)
    """
    code, rows = tool(
        tmp_path, "--dtype", "float32", "--levels", "L3", "L4",
        "--mesh", "tensor=2,expert=2,fsdp=2",
    )  # fmt: skip
    assert [row for row in rows if row["differing"]] == []
    assert code == 0
    assert {row["level"] for row in rows} == {"L3", "L4"}
    assert min(row["elements"] for row in rows) > 10_000


def test_fast_numerics_fail(tmp_path):
    code, rows = tool(
        tmp_path, "--dtype", "float32", "--numerics=fast", "--levels", "L0", "L1",
    )  # fmt: skip
    red = {row["level"] for row in rows if row["differing"]}
    assert code == 1
    assert "L0" not in red
    assert red
    assert all(row["first"] for row in rows if row["differing"])


def two_layers(tiny: ModelConfig, dtype: str) -> ModelConfig:
    return dataclasses.replace(tiny, layers=2, group=2, global_layers=(1,), dtype=dtype)


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def told(tiny, request):
    """Four sessions of different ages, as they can be scored."""
    cfg = two_layers(tiny, request.param)
    subject, talk = random_subject(cfg), random_talk(cfg, SLOTS, TURNS)
    found = records(cfg, talk, converse(subject, talk))
    return subject, found, score.side_by_side(found)


def one(batch: score.Batch, b: int) -> score.Batch:
    return jax.tree.map(lambda x: x[b : b + 1], batch)


def chunked(subject, batch) -> parity.Row:
    got = valid(in_blocks(subject, batch.block, 5, 0), batch)
    return compare("L2", "blocks", valid(stages(subject, batch), batch), got)


def alone(subject, batch) -> parity.Row:
    full, first = stages(subject, batch), one(batch, 1)
    part = {name: x[1:2] for name, x in full.items()}
    return compare("L1", "alone", valid(part, first), valid(stages(subject, first), first))


def test_recorded_sessions_score_to_the_bit(told):
    subject, found, batch = told
    for record, scores in zip(
        found, score.score(subject.params, subject.cfg, found), strict=True
    ):
        chosen = ~np.isnan(record.logp)
        assert chosen.sum() > 10
        assert (scores.logp[chosen] == record.logp[chosen]).all()
        assert (scores.patches == record.block.voice[0]).all()
    assert chunked(subject, batch).differing == 0
    assert alone(subject, batch).differing == 0


def unaligned(monkeypatch):
    monkeypatch.setattr(invariant, "split", lambda kv_split, keys: keys)


# The first product with too few columns: where kernels need more of them, one before.
FEW_COLUMNS = "layer 0 queries" if cpu.machine_form() == cpu.FORMS[1] else "layer 0 mixed"


def unpadded(monkeypatch):
    monkeypatch.setattr(cpu, "_in_order", lambda form, *args: cpu.dot(*args))
    monkeypatch.setattr(cpu, "machine_form", lambda: cpu.FORMS[0])


def one_too_far(monkeypatch):
    right = conv.short_conv

    def wrong(ops, x, w, state, n_valid, age):
        y, _ = right(ops, x, w, state, n_valid, age)
        return y, right(ops, x, w, state, jnp.maximum(n_valid - 1, 0), age)[1]

    monkeypatch.setattr(conv, "short_conv", wrong)


def capacity(monkeypatch):
    right = moe.route

    def wrong(params, cfg, x_ND):
        routing = right(params, cfg, x_ND)
        hits = jax.nn.one_hot(routing.chosen_NA, cfg.experts, dtype=jnp.int32)
        before = jnp.cumsum(hits.sum(1), axis=0)[:, None]
        room = len(x_ND) * cfg.experts_per_token // cfg.experts // 2
        fits = ((before <= room) * hits).sum(-1)
        return routing._replace(weight_NA=routing.weight_NA * fits)

    monkeypatch.setattr(moe, "route", wrong)


@pytest.mark.parametrize("told", ["float32"], indirect=True)
@pytest.mark.parametrize(
    ("plant", "check", "first"),
    [
        (unaligned, chunked, "layer 0 mixed"),
        (unpadded, chunked, FEW_COLUMNS),
        (one_too_far, chunked, "layer 0 keys"),
        (capacity, alone, "layer 1 routing weight"),
    ],
)
def test_a_planted_fault_is_found_where_it_is(told, monkeypatch, plant, check, first):
    subject, _, batch = told
    assert subject.cfg.dtype == "float32"
    jax.clear_caches()
    plant(monkeypatch)
    row = check(subject, batch)
    jax.clear_caches()
    assert row.differing
    assert row.first == first


PSUM = """
import json, sys
import jax
jax.config.update("jax_num_cpu_devices", 4)
from interaction.config import ModelConfig
from interaction.ops import invariant
from interaction.parallel.collectives import xla_all_reduce
from interaction.parallel.mesh import make_mesh
from interaction.parity.bits import compare
from interaction.parity.forced import stages
from interaction.parity.sampled import converse, records
from interaction.parity.subject import random_subject, random_talk
from interaction.score import side_by_side

cfg = ModelConfig.from_mapping(json.loads(sys.argv[1]))
subject, talk = random_subject(cfg), random_talk(cfg, 2, 6)
batch = side_by_side(records(cfg, talk, converse(subject, talk)))
want, mesh, rows = stages(subject, batch), make_mesh(tensor=4), []
for reduce in (invariant.all_reduce, xla_all_reduce):
    invariant.all_reduce = reduce
    jax.clear_caches()
    rows.append(compare("L3", "psum", want, stages(subject, batch, mesh)))
print(json.dumps(rows))
"""


def test_a_psum_for_the_tree_is_found(tiny):
    cfg = dataclasses.replace(
        two_layers(tiny, "float32"), kv_heads=4, head_dim=8, tensor_shards=4
    )
    done = subprocess.run(
        [sys.executable, "-c", PSUM, cfg.to_json()],
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    tree, psum = (parity.Row(*row) for row in json.loads(done.stdout.splitlines()[-1]))
    assert tree.differing == 0
    assert psum.differing
    assert psum.first == "layer 0 attention"  # the first sum over devices
