"""Several sessions in one row: each as by itself, to the last bit."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from interaction import model
from interaction.config import ModelConfig
from interaction.grammar import Kind
from interaction.model import Block
from interaction.ops import attention
from interaction.params import initialise

LENGTHS = (70, 37, 1, 150)  # positions of each: past windows and horizons
KINDS = (Kind.TURN, Kind.TEXT, Kind.AUDIO_IN)


def session(cfg: ModelConfig, seed: int, n: int) -> Block:
    """Words of instructions first, some of them too late to be pinned."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(KINDS, (1, n)).astype(np.int32)
    token = rng.integers(0, cfg.vocab_used, (1, n)).astype(np.int32)
    kind[:, :5], kind[:, 28:34] = Kind.TEXT_IN, Kind.TEXT_IN
    token[:, [0, min(28, n - 1)]] = cfg.controls_at + Kind.INSTRUCT
    pixels = np.zeros((1, 0, 2, cfg.patch, cfg.patch, 3), np.float32)
    return Block(
        kind, token, rng.integers(0, 4, (1, n)).astype(np.int32),
        rng.integers(0, 16, (1, 4, 80)).astype(np.uint8), pixels,
        np.zeros((1, 0, 320), np.float32), np.array([n], np.int32),
    )  # fmt: skip


def together(cfg: ModelConfig, sessions: list[Block]) -> tuple[Block, np.ndarray, list]:
    """-> (one block, ages, where each session lies)."""
    places, end = [], 0
    for one in sessions:
        start = -(-end // cfg.kv_split) * cfg.kv_split
        end = start + one.kind.shape[1]
        places.append(slice(start, end))
    whole = {name: np.zeros((1, end), np.int32) for name in ("kind", "token", "row", "age")}
    for i, (at, one) in enumerate(zip(places, sessions, strict=True)):
        whole["kind"][:, at], whole["token"][:, at] = one.kind, one.token
        sounds = one.kind == Kind.AUDIO_IN
        whole["row"][:, at] = np.where(sounds, one.row + 4 * i, one.row)
        whole["age"][:, at] = np.arange(one.kind.shape[1])
    age = whole.pop("age")
    dmel = np.concatenate([one.dmel for one in sessions], 1)
    n_valid = np.array([end], np.int32)
    return sessions[0]._replace(**whole, dmel=dmel, n_valid=n_valid), age, places


def first(block: Block, length: int) -> Block:
    """A session by itself, with positions of no kind behind it."""
    pad = ((0, 0), (0, length - block.kind.shape[1]))
    parts = {name: np.pad(getattr(block, name), pad) for name in ("kind", "token", "row")}
    dmel = np.pad(block.dmel, ((0, 0), (0, 4 * (len(LENGTHS) - 1)), (0, 0)))
    return block._replace(**parts, dmel=dmel)


@pytest.mark.parametrize("form", ["as it is", "looped", "pinned"])
def test_a_session_has_the_bits_it_has_alone(tiny, tiny_params, monkeypatch, form):
    cfg = tiny if form == "pinned" else dataclasses.replace(tiny, pinned=0)
    if form == "looped":
        monkeypatch.setattr(attention, "LONG", 100)
    run = jax.jit(lambda b, a: model.forward(tiny_params, cfg, b, age=a).hidden)
    sessions = [session(cfg, i, n) for i, n in enumerate(LENGTHS)]
    block, age, places = together(cfg, sessions)
    found, length = np.asarray(run(block, age)), block.kind.shape[1]
    for one, at in zip(sessions, places, strict=True):
        alone = np.asarray(run(first(one, length), None))
        assert np.array_equal(found[:, at], alone[:, : at.stop - at.start])
    as_one = np.asarray(run(block, None))
    assert not np.array_equal(found[:, places[1]], as_one[:, places[1]])


def test_gradients_are_the_sum_of_each_alone(tiny):
    values = tiny.__dict__ | {"layers": 2, "global_layers": (1,), "dense_layers": (0,)}
    cfg = ModelConfig(**values)
    params = initialise(model.specs(cfg), jax.random.key(0))
    sessions = [session(cfg, i, n) for i, n in enumerate(LENGTHS)]
    block, age, places = together(cfg, sessions)
    length = block.kind.shape[1]
    pull = np.random.default_rng(9).normal(size=(1, length, cfg.width)).astype(np.float32)

    @jax.jit
    def gradients(params, block, age, pull):
        def total(params):
            hidden = model.forward(params, cfg, block, age=age).hidden
            return jnp.sum(hidden.astype(jnp.float32) * pull)

        return jax.grad(total)(params)

    whole, alone = np.zeros_like(pull), []
    for one, at in zip(sessions, places, strict=True):
        whole[:, at] = pull[:, at]
        mine, n = np.zeros_like(pull), at.stop - at.start
        mine[:, :n] = pull[:, at]
        own = np.pad(np.arange(n), (0, length - n))[None]
        alone.append(gradients(params, first(one, length), own, mine))
    found = gradients(params, block, age, whole)
    want = jax.tree.map(lambda *x: sum(x[1:], x[0]), *alone)
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(want), strict=True):
        room = 1e-4 * float(np.abs(y).max()) + 1e-6
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=room)


def test_positions_between_sessions_are_nobodys_load(tiny, tiny_params):
    sessions = [session(tiny, i, n) for i, n in enumerate(LENGTHS)]
    block, age, _ = together(tiny, sessions)
    run = jax.jit(lambda b, a: model.forward(tiny_params, tiny, b, age=a).load)
    found = np.asarray(run(block, age))
    ages = [np.pad(np.arange(n), (0, age.shape[1] - n))[None] for n in LENGTHS]
    alone = [
        np.asarray(run(first(one, age.shape[1]), own))
        for one, own in zip(sessions, ages, strict=True)
    ]
    assert np.array_equal(found, sum(alone))
