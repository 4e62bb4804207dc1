"""Programs compiled for TPUs that are not here: as planned, and what they divide."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path

import jax
import pytest

from interaction import plan, pod
from interaction.config import ModelConfig
from interaction.hlo import operations
from interaction.parallel.mesh import AXES
from interaction.parallel.placement import held_bytes
from interaction.planning.serving import plan_serving
from interaction.planning.training import plan_training
from interaction.settings import load

ROOT = Path(__file__).parents[2]
GOLDENS = Path(__file__).parent / "goldens"
TML = ROOT / "configs/tml_interaction_small.py"


def loaded(path, *overrides):
    config = load(path, overrides)
    return config, ModelConfig.from_mapping(config.model.to_dict())


def planned(name):
    """-> (golden plan, what its arguments say, config, cfg, mesh sizes)"""
    golden = json.loads((GOLDENS / f"{name}.json").read_text())
    args, overrides = plan.arguments(golden["args"])
    config, cfg = plan.configured(args, overrides)
    return golden, args, config, cfg, dict.fromkeys(AXES, 1) | args.mesh


@pytest.fixture(scope="module")
def nano():
    """(golden plan of nano's training step, the same made now, the program's text, cfg)"""
    golden, args, config, cfg, mesh = planned("nano-train-v6e-2x4")
    texts, compile_ = [], pod.compile_training

    def keep(*given):
        program = compile_(*given)
        texts.append(program.as_text())
        return program

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pod, "compile_training", keep)
        found = plan_training(config, cfg, args.topology, 1, mesh)
    return golden, found, texts[0], cfg


def test_the_plan_is_what_it_was(nano):
    """Renewed by `python tests/planning/renew.py`. What the compiler chooses may move a
    little from one version of it to the next."""
    golden, found, _, _ = nano
    for name in ("held_bytes", "budget_bytes", "activations_bytes", "flops", "fits"):
        assert found[name] == golden[name], name
    assert found["needs_bytes"] == pytest.approx(golden["needs_bytes"], rel=0.1)
    for axis in ("fsdp", "expert"):
        now, then = (received(one["sent"], axis) for one in (found, golden))
        assert now == pytest.approx(then, rel=0.1), axis
    for name, now in found["projected"].items():
        then = golden["projected"][name]
        assert now["step_s"] == pytest.approx(then["step_s"], rel=0.1)
        assert now["limit"] == then["limit"]


def test_what_is_kept_for_the_backward_pass_is_of_the_temporaries(nano):
    """Most of nano's, which computes nothing again: gradients and little else beside."""
    _, found, _, _ = nano
    kept = sum(found["activations_bytes"].values())
    assert 0.5 < kept / found["memory_bytes"]["temporaries"] < 1


def test_the_plan_of_a_micro_turn_is_what_it_was():
    golden, args, _, cfg, mesh = planned("nano-serve-v6e-2x4")
    found = plan_serving(cfg, args.topology, 1, mesh, args.slots)
    for name in ("held_bytes", "budget_bytes", "flops", "fits"):
        assert found[name] == golden[name], name
    assert found["needs_bytes"] == pytest.approx(golden["needs_bytes"], rel=0.1)
    for program, memory in found["memory_bytes"].items():
        assert memory["replaced"] >= found["held_bytes"]["cache"], program
        now, then = (received(one["sent"][program], "expert") for one in (found, golden))
        assert now == pytest.approx(then, rel=0.1), program
    now, then = found["projected"], golden["projected"]
    assert now["micro_turn_s"] == pytest.approx(then["micro_turn_s"], rel=0.1)
    assert now["limit"] == then["limit"]


def received(sent, axis):
    """Bytes of a chip over this axis."""
    return sum(one["bytes"] for one in sent if axis in one["axis"])


def stacks(text, cfg):
    """Experts' matrices in the results of all gathers: how many in each."""
    matrix = {(cfg.width, cfg.expert_width), (cfg.expert_width, cfg.width)}
    for op in operations(text):
        if op.kind.startswith("all-gather"):
            for dims in re.findall(r"\[([\d,]+)\]", op.result):
                shape = tuple(int(n) for n in dims.split(","))
                if shape[-2:] in matrix:
                    yield math.prod(shape[:-2])


def test_no_stack_of_experts_is_gathered_and_rows_are_exchanged(nano):
    """A device's own experts are, over `fsdp`: two of eight."""
    _, found, text, cfg = nano
    assert cfg.experts // 4 in stacks(text, cfg)
    assert max(stacks(text, cfg)) < cfg.experts
    exchanged = [one for one in found["sent"] if one["kind"].endswith("all-to-all")]
    assert {one["axis"] for one in exchanged} >= {"expert"}


def test_no_chip_has_what_another_has_of_the_optimiser(nano):
    _, found, _, _ = nano
    held = found["held_bytes"]
    # Small arrays are filled up to a TPU's tiles; seven copies more would show.
    assert found["memory_bytes"]["arguments"] < 1.5 * sum(held.values())
    config, cfg = loaded(TML)
    sizes_ = config.train.mesh.to_dict()
    mesh = pod.pod_mesh("v5p:8x8x8", sizes_)
    opt = pod.describe_training(config, cfg, mesh).state.opt
    whole = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(opt))
    assert held_bytes(opt) < 1.05 * whole / math.prod(sizes_.values())


def test_the_cache_is_written_where_it_is(tiny):
    cfg = dataclasses.replace(tiny, numerics="fast")
    mesh = pod.pod_mesh("v6e:2x2", {"data": 2, "expert": 2})
    given = pod.describe_turn(cfg, mesh, 4)
    programs = pod.compile_turn(cfg, mesh, 4, given, pod.QUICK)
    cache = held_bytes(given.state.cache)
    for name, program in programs.items():
        assert program.memory_analysis().alias_size_in_bytes >= cache, name
