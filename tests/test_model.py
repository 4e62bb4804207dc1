"""The model through its face: one forward, whatever the blocks."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from interaction import model, weights
from interaction.cache import clear_slots, empty_cache
from interaction.config import ModelConfig
from interaction.counts import parts
from interaction.errors import InputError
from interaction.grammar import Kind
from interaction.model import Block
from interaction.ops import fast, invariant
from interaction.ops.experts import Experts, each_row, every_expert, grouped
from interaction.params import abstract, initialise
from interaction.settings import load
from interaction.tensors import TensorFiles

ROOT = Path(__file__).parent.parent
KINDS = (Kind.TURN, Kind.TEXT, Kind.AUDIO_IN, Kind.PATCH, Kind.AUDIO_OUT)


def random_block(cfg: ModelConfig, seed: int, batch: int, length: int) -> Block:
    rng = np.random.default_rng(seed)
    side = (batch, 4, 2, cfg.patch, cfg.patch, 3)
    return Block(
        jnp.asarray(rng.choice(KINDS, (batch, length)), jnp.int32),
        jnp.asarray(rng.integers(0, cfg.outputs, (batch, length)), jnp.int32),
        jnp.asarray(rng.integers(0, 4, (batch, length)), jnp.int32),
        jnp.asarray(rng.integers(0, 16, (batch, 4, 80)), jnp.uint8),
        jnp.asarray(rng.normal(size=side), jnp.float32),
        jnp.asarray(rng.normal(size=(batch, 4, 320)), jnp.float32),
        jnp.full((batch,), length, jnp.int32),
    )


def part_of(block: Block, starts, sizes, width: int) -> Block:
    """Rows start..start+size of each session, junk after them."""

    def cut(x):
        rows = [
            np.pad(x[b, s : s + n], (0, width - n), constant_values=3)
            for b, (s, n) in enumerate(zip(starts, sizes, strict=True))
        ]
        return jnp.asarray(np.stack(rows))

    names = ("kind", "token", "row")
    cuts = {name: cut(np.asarray(getattr(block, name))) for name in names}
    return block._replace(**cuts, n_valid=jnp.asarray(sizes, jnp.int32))


@pytest.mark.parametrize("seed", [0, 1])
def test_blocks_of_any_size_equal_one_forward(tiny, tiny_params, seed):
    """Ragged blocks with junk tails, sessions of different age, past the window, the
    extent, and one turn of the ring."""
    length, width = 90, 12
    block = random_block(tiny, seed, 2, length)
    whole = jax.jit(lambda b: model.forward(tiny_params, tiny, b).hidden)(block)
    step = jax.jit(lambda b, c: model.forward(tiny_params, tiny, b, c))
    rng = np.random.default_rng(seed)
    cache, at = empty_cache(tiny, 2), np.zeros(2, int)
    while (at < length).any():
        sizes = np.minimum(rng.integers(0, width + 1, 2), length - at)
        out = step(part_of(block, at, sizes, width), cache)
        cache = out.cache
        for b in range(2):
            got = out.hidden[b, : sizes[b]]
            want = whole[b, at[b] : at[b] + sizes[b]]
            assert (got == want).all()
        at += sizes
    assert (np.asarray(cache.cursor) == length).all()


@pytest.mark.parametrize(("group", "run"), [(3, 2), (6, 9)])
def test_loops_over_layers_change_no_bit(tiny, tmp_path, group, run):
    """A model's file outlives any regrouping of its layers, and so do its results, layer by
    layer."""
    kinds = {"layers": 6, "global_layers": (2, 5), "dense_layers": (0,)}
    plain = dataclasses.replace(tiny, **kinds, group=6, run=1)
    looped = dataclasses.replace(plain, group=group, run=run)
    made = initialise(model.specs(plain), jax.random.key(0))
    weights.save(tmp_path, plain, made)
    read = weights.load(TensorFiles(tmp_path), looped)
    block = random_block(plain, 0, 2, 8)
    step = functools.partial(model.forward, capture=True)
    one, two = (
        jax.jit(step, static_argnums=1)(params, cfg, block, empty_cache(cfg, 2))
        for cfg, params in ((plain, made), (looped, read))
    )
    assert len(two.captures) == 6
    for name in ("hidden", "load", "captures"):
        leaves = (jax.tree.leaves(getattr(out, name)) for out in (one, two))
        for a, b in zip(*leaves, strict=True):
            np.testing.assert_array_equal(a, b, name)


def test_a_cleared_slot_starts_afresh(tiny, tiny_params):
    block = random_block(tiny, 2, 2, 12)
    step = jax.jit(lambda b, c: model.forward(tiny_params, tiny, b, c))
    fresh = step(block, empty_cache(tiny, 2))
    used = clear_slots(fresh.cache, jnp.array([True, False]))
    again = step(block, used).hidden
    assert (again[0] == fresh.hidden[0]).all()
    assert not (again[1] == fresh.hidden[1]).all()


def test_no_gradient_from_the_future(tiny, tiny_params):
    """Output at t has exactly no gradient with respect to inputs after t."""
    block, t = random_block(tiny, 3, 1, 40), 20
    index = jnp.arange(40)[None] % 4
    audio = jnp.full((1, 40), Kind.AUDIO_OUT, jnp.int32)
    voice = jax.random.normal(jax.random.key(0), (1, 40, 320))
    block = block._replace(kind=audio, row=jnp.arange(40)[None] + 0 * index)

    def hidden_at_t(voice):
        out = model.forward(tiny_params, tiny, block._replace(voice=voice))
        return out.hidden[0, t].sum()

    grad = np.abs(jax.jit(jax.grad(hidden_at_t))(voice))[0].sum(-1)
    assert (grad[t + 1 :] == 0).all()
    assert (grad[t - 15 : t + 1] > 0).all()


def test_window_ends_where_it_says(tiny, tiny_params):
    """One sliding layer: a query sees `window` keys, plus what the convolutions reach."""
    values = tiny.__dict__ | {"layers": 1, "global_layers": (), "dense_layers": ()}
    cfg = ModelConfig(**values)
    from interaction.params import initialise

    params = initialise(model.specs(cfg), jax.random.key(0))
    T, t, reach = 60, 50, cfg.window - 1 + 2 * (cfg.conv_kernel - 1)
    block = random_block(cfg, 0, 1, T)._replace(
        kind=jnp.full((1, T), Kind.AUDIO_OUT, jnp.int32), row=jnp.arange(T)[None]
    )

    def hidden_at_t(voice):
        out = model.forward(params, cfg, block._replace(voice=voice))
        return (out.hidden[0, t] ** 3).sum()

    voice = jax.random.normal(jax.random.key(0), (1, T, 320))
    grad = np.abs(jax.jit(jax.grad(hidden_at_t))(voice))[0].sum(-1)
    # attention: k convolution + branch convolution; MLP branch convolution once more
    far = t - reach - (cfg.conv_kernel - 1)
    assert (grad[:far] == 0).all()
    assert grad[t - cfg.window + 1] > 0


@pytest.mark.parametrize("mode", [fast, invariant])
@pytest.mark.parametrize("many", [8, 20, 256])
def test_expert_forms_agree(mode, many):
    """To the bit in invariant numerics: few rows or many, whatever the number of experts
    and of rows for one of them."""
    key = jax.random.split(jax.random.key(0), 6)
    x = jax.random.normal(key[0], (40, 16))
    chosen = jax.vmap(lambda k: jax.random.permutation(k, many)[:6])(
        jax.random.split(key[1], 40)
    )
    weight = jax.random.uniform(key[2], (40, 6))
    gate, up = (jax.random.normal(k, (many, 16, 12)) for k in key[3:5])
    held = Experts(gate, up, jax.random.normal(key[5], (many, 12, 16)))
    forms = [jax.jit(functools.partial(f, mode)) for f in (every_expert, grouped, each_row)]
    want = forms[0](x, chosen, weight, held)
    for form in forms:
        np.testing.assert_allclose(
            form(x, chosen, weight, held), want, rtol=1e-4, atol=1e-4
        )
    if mode is invariant:
        for form in forms:
            for rows in (40, 3, 1):
                got = form(x[:rows], chosen[:rows], weight[:rows], held)
                assert (got == want[:rows]).all()


def test_router_weights_share_one_normalisation(tiny, tiny_params):
    """Chosen and shared weights add up to route_scale; the bias moves the choice only."""
    from interaction.layers import moe

    params = jax.tree.map(lambda a: a[0], tiny_params["layers"][1][0]["mlp"])
    x = jax.random.normal(jax.random.key(0), (20, tiny.width))
    before = moe.route(params, tiny, x)
    total = before.weight_NA.sum(-1) + before.shared_NS.sum(-1)
    np.testing.assert_allclose(total, tiny.route_scale, rtol=1e-5)
    pushed = params | {"router_bias": jnp.array([9.0, 0, 0, 0])}
    after = moe.route(pushed, tiny, x)
    assert (after.chosen_NA == 0).any(-1).all()
    assert float(after.weight_NA.max()) < tiny.route_scale


def test_capture_sees_every_layer(tiny, tiny_params):
    block = random_block(tiny, 4, 1, 10)
    look = jax.jit(lambda p, b: model.forward(p, tiny, b, capture=True))
    out = look(tiny_params, block)
    assert len(out.captures) == tiny.layers
    assert out.captures[0].routing is None  # the dense layer
    assert out.captures[3].routing.chosen_NA.shape == (10, 2)


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("nano", None),
        ("mini", None),
        ("inkling_small", 263724526634),
        ("tml_interaction_small", 276309552682),
    ],
)
def test_shipped_configs_build_abstractly(name, total):
    cfg = ModelConfig.from_mapping(load(ROOT / f"configs/{name}.py").model.to_dict())
    params = abstract(model.specs(cfg))
    block = jax.eval_shape(lambda: random_block(cfg, 0, 1, 8))
    out = jax.eval_shape(lambda p, b: model.forward(p, cfg, b), params, block)
    assert out.hidden.shape == (1, 8, cfg.width)
    counted = {part.name: part.total for part in parts(cfg)}
    assert sum(counted.values()) == sum(x.size for x in jax.tree.leaves(params))
    if total:
        ours = ("own voice", "flow head", "heard head", "control rows")
        assert sum(counted.values()) - sum(counted[name] for name in ours) == total


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"heads": 3}, "multiple of"),
        ({"nonsense": 1}, "unknown key model.nonsense"),
        ({"vocab_used": 620}, "above model.vocab"),
        ({"global_layers": (4,)}, "outside 0..3"),
        ({"window": 500}, "above model.horizon"),
        ({"experts_per_token": 9}, "experts_per_token"),
    ],
)
def test_bad_config_is_named(tiny, change, words):
    with pytest.raises(InputError, match=words):
        ModelConfig.from_mapping(tiny.__dict__ | change)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_training_and_micro_turn_build_in_either_dtype(tiny, dtype):
    """Every program's shapes and dtypes, with and without video, without running it."""
    from interaction import step
    from interaction.blocks import TurnInput, pack_turn
    from interaction.modality import waveform
    from interaction.state import empty_state

    cfg = ModelConfig(**tiny.__dict__ | {"dtype": dtype})
    params = abstract(model.specs(cfg))
    wave = jax.eval_shape(waveform.init, jax.random.key(0))
    state = jax.eval_shape(lambda: empty_state(cfg, 2, np.arange(2)))
    bins = np.zeros((4, 80), np.uint8)
    pixels = np.zeros((cfg.patches_per_frame, 2, cfg.patch, cfg.patch, 3), np.float32)
    for patches in (None, pixels):
        block = pack_turn(cfg, [TurnInput(bins, patches)] * 2)
        after, _ = jax.eval_shape(
            lambda p, s, b: step.ingest(p, s, b, cfg=cfg), params, state, block
        )
        assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
            lambda x: (x.shape, x.dtype), state
        )
    live, temperature = jnp.ones(2, bool), jnp.zeros(2)
    after, frame = jax.eval_shape(
        lambda p, w, s: step.emit(p, w, s, live, temperature, cfg=cfg), params, wave, state
    )
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
        lambda x: (x.shape, x.dtype), state
    )
    assert frame.audio.shape == (2, 3200)
    out = jax.eval_shape(
        lambda p: model.forward(p, cfg, random_block(cfg, 0, 2, 40)), params
    )
    assert out.hidden.dtype == jnp.dtype(dtype)


def test_a_block_too_long_for_the_cache_is_refused(tiny, tiny_params):
    block = random_block(tiny, 0, 1, 64)
    with pytest.raises(InputError, match="longer than the cache's horizon"):
        model.forward(tiny_params, tiny, block, empty_cache(tiny, 1))
    whole = jax.jit(lambda b: model.forward(tiny_params, tiny, b).hidden)(block)
    step = jax.jit(lambda b, c: model.forward(tiny_params, tiny, b, c).hidden)
    assert (step(block, empty_cache(tiny, 1, max_block=64)) == whole).all()
