"""Inkling attention: QK-norm with 1/d scale, learned relative bias, no rotary angles.

The bias of query i on key j is (r_i P)[i - j]: a content-dependent profile over backward
distance, zero beyond the extent. Sliding layers see `window` positions, global layers
`horizon`; global layers scale logits by tau past `log_floor` positions.

Two ways in: a whole block attends to itself (training, and scoring from the start of a
session), or a short block is written to its ring and attends to it (the micro-turn).
Heads are divided over the mesh axis `tensor`: arrays hold this device's.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from interaction import ops
from interaction.config import ModelConfig
from interaction.layers import conv
from interaction.ops import attention as over_splits
from interaction.ops.attention import Reach
from interaction.ops.rows import matmul, matmul_divided, rms_norm
from interaction.parallel.collectives import fanned
from interaction.params import Params, Spec, normal, ones


class Heads(NamedTuple):
    """Head counts and reach of one kind of layer."""

    H: int
    K: int
    E: int
    window: int
    extent: int


def heads(cfg: ModelConfig, is_global: bool) -> Heads:
    if is_global:
        extent = min(cfg.global_extent, cfg.horizon)
        return Heads(cfg.heads, cfg.kv_heads, cfg.head_dim, cfg.horizon, extent)
    return Heads(
        cfg.local_heads, cfg.local_kv_heads, cfg.local_head_dim, cfg.window, cfg.window
    )


def specs(cfg: ModelConfig, is_global: bool) -> dict[str, Spec]:
    D, R = cfg.width, cfg.rel_dim
    hd = heads(cfg, is_global)
    kv_conv = conv.specs(hd.K * hd.E, cfg.conv_kernel, "kv_heads")
    return {
        "q": Spec((D, hd.H * hd.E), ("embed", "heads")),
        "k": Spec((D, hd.K * hd.E), ("embed", "kv_heads")),
        "v": Spec((D, hd.K * hd.E), ("embed", "kv_heads")),
        "r": Spec((D, hd.H * R), ("embed", "heads")),
        "o": Spec((hd.H * hd.E, D), ("heads", "embed")),
        "rel": Spec((R, hd.extent), (None, None), normal(0.02)),
        "q_norm": Spec((hd.E,), (None,), ones),
        "k_norm": Spec((hd.E,), (None,), ones),
        "k_conv": kv_conv,
        "v_conv": kv_conv,
    }


At = int | jax.Array
"""Number of a layer in its stack, int32 []."""


class Ring(NamedTuple):
    """Keys and values of the first positions, where any are pinned, and of the last ones,
    at slot `position mod size` of the rest, and the two convolution tails. Keys are turned,
    as products take them: k: [B, K, E, size]; v: [B, K, size, E]; tails: [B, kernel-1, K*E]
    float32."""

    k: jax.Array
    v: jax.Array
    k_conv: jax.Array
    v_conv: jax.Array


def pinned(cfg: ModelConfig, is_global: bool) -> int:
    """Slots for the stream's first keys, before those of a ring."""
    return cfg.pinned if is_global else 0


def empty_ring(cfg: ModelConfig, is_global: bool, batch: int, max_block: int) -> Ring:
    """Whole splits. `max_block` positions and a split beyond the window, so that neither
    a block's padded tail nor a split that is being overwritten holds a key that a query
    still sees."""
    hd = heads(cfg, is_global)
    splits = -(-(hd.window + max_block) // cfg.kv_split) + 1
    size = pinned(cfg, is_global) + splits * cfg.kv_split
    v = jnp.zeros((batch, hd.K, size, hd.E), cfg.dtype)
    tail = conv.empty_state(batch, hd.K * hd.E, cfg.conv_kernel)
    return Ring(jnp.swapaxes(v, 2, 3), v, tail, tail)


def _tau(cfg: ModelConfig, positions: jax.Array) -> jax.Array:
    ratio = (positions + 1).astype(jnp.float32) / cfg.log_floor
    return 1.0 + cfg.log_alpha * jnp.log(jnp.maximum(ratio, 1.0))


def _write(
    ring: Ring, layer: At, k_BTKE: jax.Array, v_BTKE: jax.Array, start_B: jax.Array, P: int
) -> tuple[jax.Array, jax.Array]:
    """A block's keys and values in their slots of a layer, of which P are pinned.
    -> (k, v) of the stack."""
    B, T = k_BTKE.shape[:2]
    size, at = ring.v.shape[3], start_B[:, None] + jnp.arange(T)
    slots, rows = P + at % (size - P), jnp.arange(B)[:, None]
    if P:  # twice; those that are not among the first go nowhere
        slots = jnp.concatenate([jnp.where(at < P, at, size + jnp.arange(T)), slots], 1)
        k_BTKE, v_BTKE = (jnp.concatenate([x, x], 1) for x in (k_BTKE, v_BTKE))
    keys = ring.k.at[layer, rows, :, :, slots]
    values = ring.v.at[layer, rows, :, slots]
    return (
        keys.set(k_BTKE, unique_indices=True, mode="drop"),
        values.set(v_BTKE, unique_indices=True, mode="drop"),
    )


def at(stacked: jax.Array, layer: At) -> jax.Array:
    """One layer of a stack."""
    return jax.lax.dynamic_index_in_dim(stacked, layer, 0, keepdims=False)


def put(stacked: jax.Array, layer: At, new: jax.Array) -> jax.Array:
    return jax.lax.dynamic_update_index_in_dim(stacked, new, layer, 0)


class Projected(NamedTuple):
    """What attention makes of its input, before positions meet, and the two
    convolution tails after it. q: scaled; r: the queries' mixture of bias profiles."""

    q_BTHE: jax.Array
    k_BTKE: jax.Array
    v_BTKE: jax.Array
    r_BTHR: jax.Array
    k_tail: jax.Array
    v_tail: jax.Array


def _project(
    params: Params,
    cfg: ModelConfig,
    is_global: bool,
    x_BTD: jax.Array,
    start_B: jax.Array,
    n_valid_B: jax.Array,
    tails: tuple[jax.Array | None, jax.Array | None],
    age_BT: jax.Array | None = None,
) -> Projected:
    o, dtype = ops.of(cfg), x_BTD.dtype.name
    E = heads(cfg, is_global).E
    B, T, _ = x_BTD.shape
    k_tail, v_tail = tails
    by_head = lambda x: x.reshape(B, T, -1, E)  # noqa: E731
    k = matmul(o, x_BTD, params["k"])
    k, k_tail = conv.short_conv(o, k, params["k_conv"], k_tail, n_valid_B, age_BT)
    v = matmul(o, x_BTD, params["v"])
    v, v_tail = conv.short_conv(o, v, params["v_conv"], v_tail, n_valid_B, age_BT)
    q_BTHE = rms_norm(o, by_head(matmul(o, x_BTD, params["q"])), params["q_norm"],
                      cfg.norm_eps)  # fmt: skip
    k_BTKE = rms_norm(o, by_head(k), params["k_norm"], cfg.norm_eps)
    r_BTHR = matmul(o, x_BTD, params["r"]).reshape(B, T, -1, cfg.rel_dim)
    if is_global:
        at = start_B[:, None] + jnp.arange(T) if age_BT is None else age_BT
        tau = _tau(cfg, at)[..., None, None]
        q_BTHE = o.cast(q_BTHE * tau, dtype)
        r_BTHR = o.cast(r_BTHR * tau, dtype)
    q_BTHE = o.cast(q_BTHE.astype(jnp.float32) * (1.0 / E), dtype)
    return Projected(q_BTHE, k_BTKE, by_head(v), r_BTHR, k_tail, v_tail)


def _shared(params: Params, cfg: ModelConfig) -> Params:
    """Parameters that every device has and uses on its own heads."""
    o = ops.of(cfg)
    names = ("rel", "q_norm", "k_norm")
    return params | {n: fanned(params[n], ("tensor",), o.all_reduce) for n in names}


def attention(
    params: Params,
    cfg: ModelConfig,
    is_global: bool,
    x_BTD: jax.Array,
    start_B: jax.Array,
    n_valid_B: jax.Array,
    ring: Ring | None,
    layer: At = 0,
    keep: jax.Array | None = None,
    age_BT: jax.Array | None = None,
) -> tuple[jax.Array, Ring | None, tuple[jax.Array, ...]]:
    """Attention branch before its output convolution. ring: of a stack of layers, of which
    this is `layer`; what others have in it stays where it is. keep: which positions global
    layers see for ever, bool [B, T], with a ring [B, pinned]. age: without a ring, of a
    block of several sessions, positions since each position's began. -> ([B, T, D], ring
    written, and for looking at: queries, keys, values, mixed values)."""
    o, hd, P = ops.of(cfg), heads(cfg, is_global), pinned(cfg, is_global)
    reach = Reach(hd.window, hd.extent, cfg.kv_split, P)
    keep = keep if P else None
    params = _shared(params, cfg)
    x_BTD = fanned(x_BTD, ("tensor",), o.all_reduce)
    tails: tuple[jax.Array | None, jax.Array | None] = (None, None)
    if ring is not None:
        tails = at(ring.k_conv, layer), at(ring.v_conv, layer)
    q, k, v, r, k_tail, v_tail = _project(
        params, cfg, is_global, x_BTD, start_B, n_valid_B, tails, age_BT
    )
    if ring is None:
        begun = None if age_BT is None else jnp.arange(x_BTD.shape[1]) - age_BT
        mixed = over_splits.attend_block(o, q, k, v, r, params["rel"], reach, keep, begun)
    else:
        keys, values = _write(ring, layer, k, v, start_B, P)
        ring = Ring(
            keys, values, put(ring.k_conv, layer, k_tail), put(ring.v_conv, layer, v_tail)
        )
        mixed = over_splits.attend_ring(
            o, q, at(keys, layer), at(values, layer), r, params["rel"], start_B, reach, keep
        )
    out = matmul_divided(o, mixed, params["o"], cfg.tensor_shards)
    return out, ring, (q, k, v, mixed)


def attention_weights(
    params: Params,
    cfg: ModelConfig,
    is_global: bool,
    x_BTD: jax.Array,
    keep_BT: jax.Array | None = None,
) -> jax.Array:
    """What a block that starts a session attends to, for looking at: every query on
    every key, which takes memory that `attention` does not. -> float32 [B, H, T, T]."""
    hd = heads(cfg, is_global)
    B, T, _ = x_BTD.shape
    start, n_valid = jnp.zeros((B,), jnp.int32), jnp.full((B,), T, jnp.int32)
    p = _project(params, cfg, is_global, x_BTD, start, n_valid, (None, None))
    q, k, r = (jnp.swapaxes(x, 1, 2) for x in (p.q_BTHE, p.k_BTKE, p.r_BTHR))
    q, r = (x.reshape(B, hd.K, hd.H // hd.K, T, -1) for x in (q, r))
    logits = over_splits.block_logits(ops.of(cfg), q, k, r, params["rel"], 0, cfg.kv_split)
    keep_BT = keep_BT if is_global else None
    seen = over_splits.block_seen(T, T, hd.window, hd.H // hd.K, 0, keep_BT)
    unscaled = over_splits.weights(ops.of(cfg), logits, seen)
    return (unscaled / unscaled.sum(-1, keepdims=True)).reshape(B, hd.H, T, T)
