"""Replay: the whole conversation in one forward is what the session went through."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from interaction import Session, explore, record
from interaction.data.dialogue import Dialogue
from interaction.grammar import EMITTED, Kind
from interaction.layers import attention, flow
from interaction.modality.audio import TURN_SAMPLES
from interaction.package import open_package

TURNS = 24  # some 200 positions: past the window, the horizon and the log floor
SEED = 5


def conditioned(params):
    """A flow head that listens: as initialised, its condition is multiplied by zero."""
    keys = jax.random.split(jax.random.key(2), len(params["flow"]["blocks"]))
    blocks = [
        block | {"mod": 0.3 * jax.random.normal(key, block["mod"].shape)}
        for key, block in zip(keys, params["flow"]["blocks"], strict=True)
    ]
    return params | {"flow": params["flow"] | {"blocks": blocks}}


@pytest.fixture(scope="module")
def talk(tiny_package):
    """A session at temperature 1, where random weights use every kind of frame."""
    rng = np.random.default_rng(0)
    user = (0.1 * rng.standard_normal(TURNS * TURN_SAMPLES)).astype(np.float32)
    pairs = rng.integers(0, 256, (3, 2, 48, 90, 3), np.uint8)
    frames = tuple((t, pair) for t, pair in zip((0.2, 1.0, 3.0), pairs, strict=True))
    package = open_package(tiny_package)
    package = package._replace(params=conditioned(package.params))
    session = Session(package, seed=SEED, temperature=1.0)
    conversation = explore.play(session, Dialogue("noise", user, 0 * user, frames))
    frames = [out.frame for out in conversation.outputs]
    block = record.replay_block(session.config, conversation.inputs, frames)
    seen = explore.replay(session.package.params, session.config, block)
    return session, conversation, seen


def test_replay_gives_the_recorded_log_probabilities(talk):
    session, conversation, seen = talk
    logp = explore.emitted_logp(session.package.params, session.config, seen)
    kinds = seen.block.kind[0]
    frames = [out.frame for out in conversation.outputs]
    recorded = np.concatenate([f.logp[: int(f.n)] for f in frames])
    emitted = np.concatenate([f.kind[: int(f.n)] for f in frames])
    chosen = np.isin(emitted, EMITTED)
    assert len(kinds) > session.config.horizon
    assert {Kind.TEXT, Kind.SPEAK, Kind.SILENT} <= set(kinds.tolist())
    assert (np.isnan(logp) == ~np.isin(kinds, EMITTED)).all()
    np.testing.assert_allclose(logp[~np.isnan(logp)], recorded[chosen], atol=1e-3)


def test_replay_holds_every_turn(talk):
    session, conversation, seen = talk
    block, cfg = seen.block, session.config
    kinds = block.kind[0]
    rows = {k: block.row[0, kinds == k] for k in (Kind.AUDIO_IN, Kind.PATCH)}
    assert (np.bincount(record.turn_of(block)[kinds == Kind.AUDIO_IN]) == 4).all()
    assert (rows[Kind.AUDIO_IN] == np.arange(4 * TURNS)).all()
    assert (rows[Kind.PATCH] == np.arange(3 * cfg.patches_per_frame)).all()
    assert len(conversation.agent) == TURNS * TURN_SAMPLES


@pytest.mark.parametrize("layer", [0, 1])
def test_attention_weights_are_those_of_attention(talk, layer):
    """Mixing the values by the weights is what the layer itself computes; a sliding
    layer and a global one."""
    session, _, seen = talk
    cfg, params = session.config, session.package.params
    is_global = cfg.layer_kinds[layer].is_global
    assert is_global == (layer == 1)
    weights = list(explore._layers(params, cfg))[layer][1]["attn"]

    @jax.jit
    def both(x):
        hd, T = attention.heads(cfg, is_global), x.shape[1]
        start, n = jnp.zeros(1, jnp.int32), jnp.array([T])
        want = attention.attention(weights, cfg, is_global, x, start, n, None)[0]
        w = attention.attention_weights(weights, cfg, is_global, x)
        p = attention._project(weights, cfg, is_global, x, start, n, (None, None))
        v = jnp.repeat(p.v_BTKE, hd.H // hd.K, axis=2)
        got = jnp.einsum("bhts,bshe->bthe", w, v).reshape(1, T, -1) @ weights["o"]
        return got, want

    got, want = both(seen.inputs[layer][None])
    assert np.abs(want).max() > 0.01
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_attention_mass_and_router_load_are_shares(talk):
    session, _, seen = talk
    cfg, params = session.config, session.package.params
    mass = explore.attention_mass(params, cfg, seen)
    assert len(mass) == cfg.layers
    for layer in mass:
        np.testing.assert_allclose(layer.sum(-1), 1, atol=1e-5)
        turns = explore.by_turn(layer, seen.block)
        assert turns.shape == (cfg.heads, TURNS, len(explore.STREAMS))
        np.testing.assert_allclose(turns.sum(-1), 1, atol=1e-5)
    # The first picture comes in turn 1: nothing can have looked at one before.
    pictures = list(explore.STREAMS).index("picture")
    assert (turns[:, 0, pictures] == 0).all() and (turns[:, 1, pictures] > 0).all()
    loads = explore.router_load(cfg, seen)
    assert list(loads) == list(range(len(cfg.dense_layers), cfg.layers))
    for load in loads.values():
        np.testing.assert_allclose(load.sum(1), 1, atol=1e-5)


def test_flow_path_ends_in_the_spoken_patch(talk):
    """With the noise that the session drew, at starts of utterances and inside."""
    session, _, seen = talk
    cfg, params, block = session.config, session.package.params, seen.block
    spoken = np.flatnonzero(block.kind[0] == Kind.AUDIO_OUT)
    assert len(spoken) >= 8
    for at in spoken:
        path = explore.flow_path(params, cfg, seen, at, seed=SEED)
        assert path.shape == (cfg.flow_steps + 1, 4, 80)
        last = flow.standardise(params["flow"], path[-1].reshape(-1))
        np.testing.assert_allclose(last, block.voice[0, block.row[0, at]], atol=1e-4)
