"""Shared fixtures: a model small enough to compile in seconds, and its package."""

from __future__ import annotations

import shutil

import jax
import pytest

from interaction import model, package
from interaction.config import ModelConfig
from interaction.package import ASSETS
from interaction.params import initialise

TINY = {
    "text_vocab": 608,
    "controls_at": 608,
    "vocab": 648,
    "vocab_used": 640,
    "width": 32,
    "layers": 4,
    "global_every": 2,  # two groups of two: the layer loop runs
    "heads": 4,
    "kv_heads": 2,
    "head_dim": 8,
    "local_heads": 4,
    "local_kv_heads": 4,
    "local_head_dim": 8,
    "window": 16,
    "horizon": 128,
    "global_extent": 48,
    "rel_dim": 4,
    "log_floor": 64,  # reached in tests
    "dense_layers": 1,
    "dense_width": 48,
    "experts": 4,
    "experts_per_token": 2,
    "expert_width": 16,
    "patch_widths": (8, 8, 16),
    "flow_width": 32,
    "flow_layers": 1,
    "flow_steps": 2,
}


@pytest.fixture(scope="session")
def tiny() -> ModelConfig:
    return ModelConfig.from_mapping(TINY)


@pytest.fixture(scope="session")
def tiny_params(tiny):
    """Random, with every zero-initialised product made to matter."""
    params = initialise(model.specs(tiny), jax.random.key(0))
    flow = params["flow"]
    flow["out"] = 0.3 * jax.random.normal(jax.random.key(1), flow["out"].shape)
    return params


@pytest.fixture(scope="session")
def tiny_package(tiny, tiny_params, tmp_path_factory):
    """A directory that `Session.open` opens: random weights, the shipped decoder."""
    directory = tmp_path_factory.mktemp("tiny")
    package.save_model(directory, tiny, tiny_params)
    for name in ("tokenizer.json", "waveform.safetensors"):
        shutil.copy(ASSETS / "nano" / name, directory / name)
    return directory
