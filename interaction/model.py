"""The interaction model: one `forward` for training, prefill, decode and scoring."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from interaction import ops
from interaction.cache import Cache, LayerState
from interaction.config import LayerKind, ModelConfig
from interaction.errors import InputError
from interaction.grammar import CONTROLS, Kind, grammar_table
from interaction.layers import attention, conv, embed, flow, hmlp, moe
from interaction.ops.attention import MASKED
from interaction.ops.rows import matmul, matmul32, rms_norm
from interaction.parallel.collectives import Cast, fanned, gathered, index, joined
from interaction.parallel.mesh import ROWS, TABLE
from interaction.params import Array, Params, Spec, is_spec, normal, ones, repeat


class Block(NamedTuple):
    """A run of positions of B sessions, valid ones packed to the left.

    kind, token: int32 [B, T]. `row` [B, T]: for AUDIO_IN, PATCH and AUDIO_OUT
    positions, the row of `dmel`, `patches` or `voice` that the position is made of.
    dmel: uint8 [B, A, mels]; patches: float32 [B, P, 2, 40, 40, 3]; voice: standardised mel
    patches float32 [B, O, 320]; n_valid: int32 [B].
    """

    kind: Array
    token: Array
    row: Array
    dmel: Array
    patches: Array
    voice: Array
    n_valid: Array


class Seen(NamedTuple):
    """What a layer computed, in order; on a mesh, heads are this device's."""

    queries: jax.Array  # scaled [B, T, H, E]
    keys: jax.Array  # convolved and normed [B, T, K, E]
    values: jax.Array  # convolved [B, T, K, E]
    mixed: jax.Array  # values, as attention weighs them [B, T, H * E]
    attention: jax.Array  # the branch [B, T, D]
    attention_convolution: jax.Array  # convolved and added
    routing: moe.Routing | None  # of a sparse layer
    mlp: jax.Array  # the branch
    x: jax.Array  # what the layer passes on


class Output(NamedTuple):
    """hidden: final-norm states [B, T, D]; load: rows per expert of each sparse layer
    [layers, X]; captures: of each layer when asked for, else None."""

    hidden: jax.Array
    cache: Cache | None
    load: jax.Array
    captures: list[Seen] | None


def layer_specs(cfg: ModelConfig, kind: LayerKind) -> dict[str, Any]:
    D = cfg.width
    return {
        "attn_norm": Spec((D,), (None,), ones),
        "attn": attention.specs(cfg, kind.is_global),
        "attn_conv": conv.specs(D, cfg.conv_kernel),
        "mlp_norm": Spec((D,), (None,), ones),
        "mlp": moe.dense_specs(cfg) if kind.is_dense else moe.specs(cfg),
        "mlp_conv": conv.specs(D, cfg.conv_kernel),
    }


def specs(cfg: ModelConfig) -> dict[str, Any]:
    """Every parameter of the model. `layers[segment][run]` has a leading axis of its
    layers."""
    out = normal(1 / math.sqrt(cfg.width))
    return {
        "embed": embed.specs(cfg),
        "layers": [
            [repeat(layer_specs(cfg, r.kind), seg.repeats * r.length) for r in seg.runs]
            for seg in cfg.segments
        ],
        "norm": Spec((cfg.width,), (None,), ones),
        "unembed": Spec((cfg.vocab, cfg.width), ("vocab", "embed"), out),
        "unembed_controls": Spec((CONTROLS, cfg.width), (None, "embed"), out),
        "flow": flow.specs(cfg),
        "heard": Spec((cfg.width, cfg.width), ("embed", None)),
        "heard_norm": Spec((cfg.width,), (None,), ones),
    }


TRUNK = ("embed", "layers", "norm")
"""Parameters that `forward` takes; the rest are of heads."""

FLOAT32 = ("router", "conv", "norm")
"""Parameters that stay float32 whatever `cfg.dtype`: routing, short convolutions and
norm scales, as in Inkling. The flow head works in float32 altogether."""


def _caster(cfg: ModelConfig, path: Any) -> Cast:
    """To the dtype that a parameter is used in: the compute dtype, but for the backbone's
    float32 islands."""
    name = jax.tree_util.keystr(path)
    if "['flow']" in name or any(mark in name for mark in FLOAT32):
        return lambda x: x
    return functools.partial(ops.of(cfg).cast, dtype=cfg.dtype)


def cast(params: Params, cfg: ModelConfig) -> Params:
    """Parameters in the dtypes that they are used in."""
    return jax.tree_util.tree_map_with_path(lambda at, x: _caster(cfg, at)(x), params)


def _gathered(specs: Any, params: Params, cfg: ModelConfig, widen: bool) -> Params:
    """Parameters as each device uses them: whole where their rows are divided over the mesh
    axis `fsdp`, sent in the dtype that they are used in. Their gradients are summed over
    all rows of the batch, here: layer by layer, each in little room."""
    o = ops.of(cfg)

    def leaf(path: Any, spec: Spec, x: jax.Array) -> jax.Array:
        to_dtype, axes = _caster(cfg, path), {axis for a in spec.axes for axis in TABLE[a]}
        x = fanned(x, tuple(axis for axis in ROWS if axis not in axes), o.all_reduce)
        for dim, axis in enumerate(spec.axes):
            if TABLE[axis] == ("fsdp",):
                x = gathered(x, "fsdp", dim, to_dtype, o.reduce_scatter, widen)
        return x if widen else to_dtype(x)

    return jax.tree_util.tree_map_with_path(leaf, specs, params, is_leaf=is_spec)


def whole(params: Params, cfg: ModelConfig) -> Params:
    """What `forward` and the heads take on a mesh: all parameters but the layers' whole,
    those as this device holds them (each is gathered where it is used)."""
    rest = {name: x for name, x in params.items() if name != "layers"}
    named = {name: x for name, x in specs(cfg).items() if name in rest}
    return params | _gathered(named, rest, cfg, widen=True)


def embed_block(params: Params, cfg: ModelConfig, block: Block) -> jax.Array:
    """Positions to their embeddings, by kind. -> [B, T, D]."""

    def place(x_BTD: jax.Array, kind: Kind, rows_BMD: jax.Array) -> jax.Array:
        index = jnp.clip(block.row, 0, rows_BMD.shape[1] - 1)[..., None]
        rows = jnp.take_along_axis(rows_BMD, index, axis=1)
        return jnp.where((block.kind == kind)[..., None], rows, x_BTD)

    p = params["embed"]
    x = embed.tokens(p, cfg, jnp.asarray(block.token))
    if block.dmel.shape[1]:
        x = place(x, Kind.AUDIO_IN, embed.audio(p, cfg, jnp.asarray(block.dmel)))
    if block.patches.shape[1]:
        patches = jnp.asarray(block.patches)
        x = place(x, Kind.PATCH, hmlp.hmlp(p["hmlp"], cfg, patches))
    if block.voice.shape[1]:
        x = place(x, Kind.AUDIO_OUT, embed.voice(p, cfg, jnp.asarray(block.voice)))
    return x


def instructions(
    cfg: ModelConfig,
    block: Block,
    start_B: jax.Array | None = None,
    age_BT: jax.Array | None = None,
) -> jax.Array:
    """Which of a session's first `cfg.pinned` positions are words of instructions that a
    block brings; a turn's words lie in one block. start: its position, None for a block
    from the start; age: of several sessions. -> bool [B, pinned], from the start [B, T]."""
    kind, token = jnp.asarray(block.kind), jnp.asarray(block.token)
    B, T = kind.shape
    words, at = kind == Kind.TEXT_IN, jnp.arange(T)
    # The channel stands before its words.
    channel = jax.lax.cummax(jnp.where(words & (token >= cfg.controls_at), at, 0), axis=1)
    by = jnp.take_along_axis(token, channel, axis=1)
    words &= by == cfg.controls_at + Kind.INSTRUCT
    if start_B is None or not cfg.pinned:
        young = (at if age_BT is None else age_BT) < cfg.pinned
        return (words & young)[:, : T if start_B is None else 0]
    rows = jnp.arange(B)[:, None]
    keep = jnp.zeros((B, cfg.pinned), bool)
    return keep.at[rows, start_B[:, None] + at].set(words, mode="drop")


def _layer(
    params: Params,
    cfg: ModelConfig,
    kind: LayerKind,
    x: jax.Array,
    start: jax.Array,
    n_valid: jax.Array,
    state: LayerState | None,
    number: attention.At = 0,
    keep: jax.Array | None = None,
    age: jax.Array | None = None,
) -> tuple[jax.Array, LayerState | None, Seen]:
    """state: of a stack of layers, of which this has `number`."""
    o = ops.of(cfg)
    add = lambda a, b: o.cast(a.astype(jnp.float32) + b.astype(jnp.float32), cfg.dtype)  # noqa: E731
    params = _gathered(layer_specs(cfg, kind), params, cfg, widen=False)
    ring, attn_tails, mlp_tails = state if state is not None else (None, None, None)
    tail = lambda tails: None if tails is None else attention.at(tails, number)  # noqa: E731
    h = rms_norm(o, x, params["attn_norm"], cfg.norm_eps)
    attended, ring, (q, k, v, mixed) = attention.attention(
        params["attn"], cfg, kind.is_global, h, start, n_valid, ring, number, keep, age
    )
    h, attn_tail = conv.short_conv(
        o, attended, params["attn_conv"], tail(attn_tails), n_valid, age
    )
    x = between = add(x, h)
    h = rms_norm(o, x, params["mlp_norm"], cfg.norm_eps)
    if kind.is_dense:
        mlp, routing = moe.dense(params["mlp"], cfg, h), None
    else:
        mlp, routing = moe.moe(params["mlp"], cfg, h)
    h, mlp_tail = conv.short_conv(o, mlp, params["mlp_conv"], tail(mlp_tails), n_valid, age)
    if state is not None and ring is not None:
        state = LayerState(
            ring,
            attention.put(state.attn_conv, number, attn_tail),
            attention.put(state.mlp_conv, number, mlp_tail),
        )
    x = add(x, h)
    return x, state, Seen(q, k, v, mixed, attended, between, routing, mlp, x)


_recomputed = jax.checkpoint(
    _layer,
    static_argnums=(1, 2),
    policy=jax.checkpoint_policies.save_only_these_names(moe.KEPT),
)


def _loop(
    body: Callable[[Any, Any], tuple[Any, Any]], carry: Any, inputs: Any, n: int
) -> tuple[Any, Any]:
    """`lax.scan` over n steps; a single one is no loop: a slice of one costs nothing."""
    if n > 1:
        return jax.lax.scan(body, carry, inputs)
    carry, out = body(carry, jax.tree.map(lambda a: a[0], inputs))
    return carry, jax.tree.map(lambda a: a[None], out)


def _in_order(loads_RCX: list[jax.Array]) -> list[jax.Array]:
    """Of runs, repeat by repeat -> of layers in their order, [layers, X]; none of none."""
    if not loads_RCX:
        return []
    return [jnp.concatenate(loads_RCX, axis=1).reshape(-1, loads_RCX[0].shape[-1])]


def forward(
    params: Params,
    cfg: ModelConfig,
    block: Block,
    cache: Cache | None = None,
    *,
    age: jax.Array | None = None,
    capture: bool = False,
    remat: bool = False,
) -> Output:
    """Run a block of positions, after whatever `cache` holds (None: from the start).

    age: without a cache, of a block whose rows hold several sessions, int32 [B, T]:
    positions since each position's own began. A session that begins at a multiple of
    `cfg.kv_split` has the same bits as in a row by itself.
    params: on a mesh, `whole`. With a cache, only the first `n_valid` positions count:
    the rest are hidden by causality and overwritten by the next block. `capture` returns
    what the layers saw; `remat` recomputes a layer's inside in the backward pass,
    but for what its experts gave.
    """
    B, T = block.kind.shape
    if cache is not None and T > cache.longest_block(cfg):
        raise InputError(
            f"a block of {T} positions is longer than the cache's horizon allows "
            f"({cache.longest_block(cfg)}); split it, or make the cache for longer blocks"
        )
    x = embed_block(cast({"embed": params["embed"]}, cfg), cfg, block)
    start = jnp.zeros((B,), jnp.int32) if cache is None else cache.cursor
    n_valid = jnp.asarray(block.n_valid)
    counted = jnp.arange(T) < n_valid[:, None]
    if age is not None:  # between sessions lie positions of none
        counted &= jnp.asarray(block.kind) != Kind.PAD
    valid = counted.reshape(-1).astype(jnp.float32)
    step = _recomputed if remat else _layer
    keep = instructions(cfg, block, None if cache is None else start, age)
    if cache is not None:
        keep = cache.keep | keep

    def layer(kind, carry, inputs):
        (x, state), (weights, number) = carry, inputs
        x, state, seen = step(
            weights, cfg, kind, x, start, n_valid, state, number, keep, age
        )
        load = moe.load(seen.routing, valid, cfg.experts) if seen.routing else None
        return (x, state), (load, seen if capture else None)

    def group(runs, carry, inputs):
        (x, states), (weights, repeat) = carry, inputs
        new, out = [], []
        for i, run in enumerate(runs):
            numbers = repeat * run.length + np.arange(run.length)
            body = functools.partial(layer, run.kind)
            state = None if states is None else states[i]
            (x, state), one = _loop(body, (x, state), (weights[i], numbers), run.length)
            new.append(state)
            out.append(one)
        return (x, None if states is None else tuple(new)), out

    layers, loads, captures = [], [], []
    for s, segment in enumerate(cfg.segments):
        # The cache is carried, not sliced and stacked: it is written where it is.
        states = None if cache is None else cache.layers[s]
        weights = jax.tree.map(
            lambda a, n=segment.repeats: a.reshape(n, -1, *a.shape[1:]), params["layers"][s]
        )
        body = functools.partial(group, segment.runs)
        inputs = (weights, np.arange(segment.repeats))
        (x, states), out = _loop(body, (x, states), inputs, segment.repeats)
        layers.append(states)
        loads += _in_order([load for load, _ in out if load is not None])
        captures += [
            jax.tree.map(lambda a, r=r, c=c: a[r, c], seen)
            for r in range(segment.repeats if capture else 0)
            for run, (_, seen) in zip(segment.runs, out, strict=True)
            for c in range(run.length)
        ]

    if cache is not None:
        cache = Cache(start + n_valid, tuple(layers), keep)
    hidden = rms_norm(ops.of(cfg), x, params["norm"], cfg.norm_eps)
    load = jnp.concatenate(loads) if loads else jnp.zeros((0, cfg.experts))
    return Output(hidden, cache, load, captures if capture else None)


def divided_logits(
    params: Params, cfg: ModelConfig, hidden: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Final hidden states [..., D] -> float32 logits: of this device's rows of the
    vocabulary, its padding masked, and of the controls."""
    o = ops.of(cfg)
    scaled = o.cast(
        hidden.astype(jnp.float32) * (1.0 / cfg.logit_divisor), hidden.dtype.name
    )
    control = matmul32(o, scaled, params["unembed_controls"], turned=True)
    V = params["unembed"].shape[0]
    if V < cfg.vocab:
        scaled = fanned(scaled, ("tensor",), o.all_reduce)
    text = matmul32(o, scaled, params["unembed"], turned=True)
    text = o.cast(text, hidden.dtype.name).astype(jnp.float32)
    control = o.cast(control, hidden.dtype.name).astype(jnp.float32)
    token = index(("tensor",)) * V + jnp.arange(V)
    return jnp.where(token < cfg.vocab_used, text, MASKED), control


def logits(params: Params, cfg: ModelConfig, hidden: jax.Array) -> jax.Array:
    """Final hidden states [..., D] -> float32 logits [..., outputs]: the vocabulary,
    its padding masked, then the controls."""
    text, control = divided_logits(params, cfg, hidden)
    if text.shape[-1] < cfg.vocab:
        text = joined(text, "tensor", text.ndim - 1)
    return jnp.concatenate([text, control], axis=-1)


def allowed_logits(
    params: Params, cfg: ModelConfig, hidden: jax.Array, phase: Array, texts: Array
) -> jax.Array:
    """`logits`, those of tokens masked that the grammar forbids after `phase` with `texts`
    tokens of text in the frame. hidden [..., D], phase and texts [...]."""
    table = jnp.asarray(grammar_table(cfg.controls_at, cfg.outputs))
    return jnp.where(table[phase, texts], logits(params, cfg, hidden), MASKED)


def heard_hidden(params: Params, cfg: ModelConfig, hidden: jax.Array) -> jax.Array:
    """The heard head's own hidden states, which `logits` takes. [..., D]"""
    o = ops.of(cfg)
    h = matmul(o, hidden, params["heard"])
    return rms_norm(o, h, params["heard_norm"], cfg.norm_eps)


def heard_logits(params: Params, cfg: ModelConfig, hidden: jax.Array) -> jax.Array:
    """The heard head, off the sampled path: which token of the user's speech is being
    heard now. [..., D] -> float32 [..., outputs]; `Kind.NOTHING` stands for none."""
    return logits(params, cfg, heard_hidden(params, cfg, hidden))
