"""Compiled for TPUs that are not here, every sum is in pinned blocks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.parity.pods import compile_all, faults, read
from interaction.pod import QUICK, compile_turn, pod_mesh
from interaction.settings import load

SIZES = {"fsdp": 2, "tensor": 2}


@pytest.fixture(scope="module")
def small():
    config = load(Path(__file__).parents[1] / "tiny.py")
    config.model.layers, config.model.global_layers = 2, (1,)
    config.train.batch = config.train.batch_shards = 2
    return config, ModelConfig.from_mapping(config.model.to_dict())


def test_training_and_serving_share_their_blocks(small):
    config, cfg = small
    programs = dict(compile_all(config, cfg, "v5p:2x2x1", SIZES, 4, QUICK))
    assert programs.keys() == {"train", "ingest", "emit"}
    assert faults(programs) == []
    for program in programs.values():
        assert program.kernels["pinned_product"] > 30
        assert "128x128 128x128" in program.units["pinned_product"]
        assert program.collectives["collective-permute"] > 0
    assert programs["train"].products == []


def test_fast_numerics_are_told_from_them(small):
    _, cfg = small
    cfg = dataclasses.replace(cfg, numerics="fast")
    compiled = compile_turn(cfg, pod_mesh("v6e:2x2", SIZES), slots=4, options=QUICK)
    found = faults({name: read(c) for name, c in compiled.items()})
    assert any("sums in no promised order" in fault for fault in found)
    assert any("product left to XLA" in fault for fault in found)
    assert any("sum left to XLA" in fault for fault in found)


@pytest.mark.parametrize(("topology", "sizes"), [("v5p:9", {}), ("v5p:2x2x1", {"data": 8})])
def test_an_impossible_pod_is_refused_by_name(topology, sizes):
    with pytest.raises(InputError, match=topology):
        pod_mesh(topology, sizes)
