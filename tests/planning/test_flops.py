"""FLOPs from sizes, against what XLA counts where it has no loops to miss."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from interaction import counts, decode, model
from interaction.config import ModelConfig
from interaction.grammar import CONTROLS
from interaction.params import abstract
from interaction.planning.flops import forward_flops, training_flops
from interaction.settings import load


@pytest.fixture
def cfg():
    config = load("tests/tiny.py", [])
    return ModelConfig.from_mapping(config.model.to_dict())


def test_matrix_products_are_those_that_xla_counts(cfg):
    """A text forward, wide enough that products outweigh everything else."""
    cfg = dataclasses.replace(
        cfg, numerics="fast", width=512, dense_width=1024, expert_width=512, rel_dim=1,
        experts=2, experts_per_token=2, window=32, horizon=32, global_extent=32,
    )  # fmt: skip
    T = 32
    prompt = decode.make_prompt(cfg, np.zeros((1, T), np.int32))
    block = decode.as_block(cfg, prompt, 0, T, T)

    def f(params, block):
        return model.logits(params, cfg, model.forward(params, cfg, block).hidden)

    program = jax.jit(f).lower(abstract(model.specs(cfg)), block).compile()
    expected = sum(forward_flops(cfg, T).values())
    assert program.cost_analysis()["flops"] == pytest.approx(expected, rel=0.03)


def test_the_backbone_takes_two_for_every_active_parameter(cfg):
    config = load("configs/tml_interaction_small.py", [])
    cfg = ModelConfig.from_mapping(config.model.to_dict())
    parts = {p.name: p.active for p in counts.parts(cfg)}
    flops = forward_flops(cfg, 8192, logits=8192)
    of = lambda *names: 2 * 8192 * sum(parts[name] for name in names)  # noqa: E731
    assert flops["experts"] == of("routed experts", "shared experts")
    assert flops["unembedding"] == 2 * 8192 * cfg.width * (cfg.vocab + CONTROLS)
    assert flops["projections"] == pytest.approx(of("attention"), rel=2e-3)


def test_recomputing_costs_less_than_a_forward(cfg):
    needed, done = training_flops(cfg, 128, 1, remat=True)
    _, kept = training_flops(cfg, 128, 1, remat=False)
    assert needed < kept < done < needed * 4 / 3
