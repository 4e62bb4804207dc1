"""Inkling attention: QK-norm with 1/d scale, learned relative bias, no rotary angles.

The bias of query i on key j is (r_i P)[i - j]: a content-dependent profile over backward
distance, zero beyond the extent. Sliding layers see `window` positions, global layers
`horizon`; global layers scale logits by tau past `log_floor` positions.

Two ways in: a whole block attends to itself (`attend_block`, used by training and scoring
from the start of a session), or a short block is written to its ring and attends to it
(`attend_ring`, used by the micro-turn). They agree to rounding, not to the bit: a ring's
sums run in slot order.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from interaction.config import ModelConfig
from interaction.layers import conv
from interaction.layers.norm import rms_norm
from interaction.params import Params, Spec, normal, ones

MASKED = -1e30  # finite, so that a fully masked row stays finite


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
    return {
        "q": Spec((D, hd.H * hd.E), ("embed", "heads")),
        "k": Spec((D, hd.K * hd.E), ("embed", "kv_heads")),
        "v": Spec((D, hd.K * hd.E), ("embed", "kv_heads")),
        "r": Spec((D, hd.H * R), ("embed", "heads")),
        "o": Spec((hd.H * hd.E, D), ("heads", "embed")),
        "rel": Spec((R, hd.extent), (None, None), normal(0.02)),
        "q_norm": Spec((hd.E,), (None,), ones),
        "k_norm": Spec((hd.E,), (None,), ones),
        "k_conv": conv.specs(hd.K * hd.E, cfg.conv_kernel),
        "v_conv": conv.specs(hd.K * hd.E, cfg.conv_kernel),
    }


class Ring(NamedTuple):
    """Keys and values of the last positions, at slot `position mod size`, and the two
    convolution tails. k, v: [B, size, K, E]; tails: [B, kernel-1, K*E] float32."""

    k: jax.Array
    v: jax.Array
    k_conv: jax.Array
    v_conv: jax.Array


def empty_ring(cfg: ModelConfig, is_global: bool, batch: int, max_block: int) -> Ring:
    """`max_block` positions beyond the window, so that a block's padded tail never
    overwrites a key that its own queries still see."""
    hd = heads(cfg, is_global)
    size = hd.window + max_block
    kv = jnp.zeros((batch, size, hd.K, hd.E), cfg.dtype)
    tail = conv.empty_state(batch, hd.K * hd.E, cfg.conv_kernel)
    return Ring(kv, kv, tail, tail)


def _softmax_mix(logits_BKGTS: jax.Array, v_BSKE: jax.Array) -> jax.Array:
    weights = jax.nn.softmax(logits_BKGTS.astype(jnp.float32), axis=-1)
    return jnp.einsum("bkgts,bske->btkge", weights.astype(v_BSKE.dtype), v_BSKE)


def _profiles(rel_Re: jax.Array, queries: int, keys: int) -> jax.Array:
    """The bank of profiles laid out over keys, without a gather. -> [R, queries, keys].

    Key s of query q is at distance q + (keys - queries) - s; zero outside 0..extent - 1.
    """
    R, extent = rel_Re.shape
    width = keys + extent  # room for keys before the first one, dropped at the end
    lead = keys - queries + 1
    row = jnp.pad(jnp.flip(rel_Re, -1), ((0, 0), (lead, width + 1 - lead - extent)))
    rows = jnp.broadcast_to(row[:, None], (R, queries, width + 1)).reshape(R, -1)
    rows = rows[:, : queries * width].reshape(R, queries, width)
    return rows[..., extent:]


def _tau(cfg: ModelConfig, positions: jax.Array) -> jax.Array:
    ratio = (positions + 1).astype(jnp.float32) / cfg.log_floor
    return 1.0 + cfg.log_alpha * jnp.log(jnp.maximum(ratio, 1.0))


def _weights(
    q_BKGTE: jax.Array,
    k_BKSE: jax.Array,
    r_BKGTR: jax.Array,
    rel_Re: jax.Array,
    window: int,
    first: jax.Array | None = None,
) -> jax.Array:
    """How much the last T of S keys attend to each key. -> float32 [B, K, G, T, S].

    `first` [B]: rows whose first S - T keys do not exist. Products are written as plain
    batched matmuls: XLA's CPU backend is slow at other layouts, backward most of all.
    """
    B, K, G, T, E = q_BKGTE.shape
    S = k_BKSE.shape[2]
    q = (q_BKGTE / E).reshape(B, K, G * T, E)
    logits = (q @ jnp.swapaxes(k_BKSE, 2, 3)).reshape(B, K, G, T, S)
    r = jnp.moveaxis(r_BKGTR, 3, 0).reshape(T, B * K * G, -1)
    bias = r @ jnp.swapaxes(_profiles(rel_Re, T, S), 0, 1)
    logits = logits + jnp.moveaxis(bias.reshape(T, B, K, G, S), 0, 3)
    distance = jnp.arange(T)[:, None] + (S - T) - jnp.arange(S)
    seen = (distance >= 0) & (distance < window)
    if first is not None:
        seen = seen & ~(first[:, None, None] & (jnp.arange(S) < S - T))
        seen = seen[:, None, None]
    return jax.nn.softmax(jnp.where(seen, logits, MASKED).astype(jnp.float32), -1)


def _attend(
    q_BKGTE: jax.Array,
    k_BKSE: jax.Array,
    v_BKSE: jax.Array,
    r_BKGTR: jax.Array,
    rel_Re: jax.Array,
    window: int,
    first: jax.Array | None = None,
) -> jax.Array:
    """The last T of S keys attend to all S. -> [B, K, G, T, E]."""
    B, K, G, T, E = q_BKGTE.shape
    weights = _weights(q_BKGTE, k_BKSE, r_BKGTR, rel_Re, window, first)
    mixed = weights.astype(v_BKSE.dtype).reshape(B, K, G * T, -1) @ v_BKSE
    return mixed.reshape(B, K, G, T, E)


def attend_block(
    q_BTHE: jax.Array,
    k_BTKE: jax.Array,
    v_BTKE: jax.Array,
    r_BTHR: jax.Array,
    rel_Re: jax.Array,
    hd: Heads,
) -> jax.Array:
    """Causal attention of a block to itself. -> [B, T, H * E].

    Sliding layers fold the block into windows that see themselves and the one before;
    global layers go through their queries in a few runs, each with the keys it can see.
    """
    B, T = q_BTHE.shape[:2]
    banded = T > 2 * hd.window
    size = hd.window if banded else max(128, -(-T // 8))
    pad = -T % size if banded else 0
    heads_first = lambda x: jnp.swapaxes(  # noqa: E731
        jnp.pad(x, ((0, 0), (0, pad), (0, 0), (0, 0))), 1, 2
    )
    k, v = heads_first(k_BTKE), heads_first(v_BTKE)
    G = hd.H // hd.K
    q = heads_first(q_BTHE).reshape(B, hd.K, G, T + pad, hd.E)
    r = heads_first(r_BTHR).reshape(B, hd.K, G, T + pad, -1)

    if banded:
        n = (T + pad) // size

        def fold(x: jax.Array) -> jax.Array:  # [B, ..., T, E] -> [B n, ..., size, E]
            x = x.reshape(*x.shape[:-2], n, size, x.shape[-1])
            return jnp.moveaxis(x, -3, 1).reshape(B * n, *x.shape[1:-3], *x.shape[-2:])

        def with_previous(x: jax.Array) -> jax.Array:
            before = jnp.pad(x, ((0, 0), (0, 0), (size, 0), (0, 0)))[:, :, :-size]
            return jnp.concatenate([fold(before), fold(x)], axis=2)

        first = jnp.arange(B * n) % n == 0
        out = _attend(
            fold(q),
            with_previous(k),
            with_previous(v),
            fold(r),
            rel_Re,
            hd.window,
            first,
        )
        out = jnp.moveaxis(out.reshape(B, n, hd.K, G, size, hd.E), 1, 3)
    else:
        runs = []
        for start in range(0, T, size):
            end = min(start + size, T)
            mine = slice(start, end)
            out = _attend(
                q[..., mine, :], k[:, :, :end], v[:, :, :end], r[..., mine, :], rel_Re,
                hd.window,
            )  # fmt: skip
            runs.append(out)
        out = jnp.concatenate(runs, axis=3)
    out = out.reshape(B, hd.H, T + pad, hd.E)
    return jnp.swapaxes(out, 1, 2).reshape(B, T + pad, hd.H * hd.E)[:, :T]


def attend_ring(
    q_BTHE: jax.Array, ring: Ring, rel_BTHe: jax.Array, start_B: jax.Array, hd: Heads
) -> jax.Array:
    """Attention of a block, already written at `start`, to its ring. -> [B, T, H*E].

    A slot's position follows from the cursor, so stale and not yet valid entries mask
    themselves: they lie outside the window or in the query's future.
    """
    B, T = q_BTHE.shape[:2]
    size = ring.k.shape[1]
    last_B1 = (start_B + T - 1)[:, None]
    key_BS = last_B1 - (last_B1 - jnp.arange(size)) % size
    distance = (start_B[:, None] + jnp.arange(T))[..., None] - key_BS[:, None]
    seen = (distance >= 0) & (distance < hd.window) & (key_BS[:, None] >= 0)
    near = (distance >= 0) & (distance < hd.extent)
    index = jnp.clip(distance, 0, hd.extent - 1)[:, :, None]
    bias_BTHS = jnp.take_along_axis(rel_BTHe, index, axis=-1)
    bias_BTHS = jnp.where(near[:, :, None], bias_BTHS, 0)

    q = q_BTHE.reshape(B, T, hd.K, hd.H // hd.K, hd.E)
    logits = jnp.einsum("btkge,bske->bkgts", q / hd.E, ring.k)
    logits = logits + jnp.moveaxis(bias_BTHS, 1, 2).reshape(logits.shape)
    logits = jnp.where(seen[:, None, None], logits, MASKED)
    return _softmax_mix(logits, ring.v).reshape(B, T, hd.H * hd.E)


def _write(ring_BSKE: jax.Array, new_BTKE: jax.Array, start_B: jax.Array) -> jax.Array:
    slots = (start_B[:, None] + jnp.arange(new_BTKE.shape[1])) % ring_BSKE.shape[1]
    rows = jnp.arange(new_BTKE.shape[0])[:, None]
    return ring_BSKE.at[rows, slots].set(new_BTKE, unique_indices=True)


class Projected(NamedTuple):
    """What attention makes of its input, before positions meet, and the two
    convolution tails after it. r: the queries' mixture of bias profiles."""

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
) -> Projected:
    hd = heads(cfg, is_global)
    B, T, _ = x_BTD.shape
    k_tail, v_tail = tails
    k = x_BTD @ params["k"]
    k, k_tail = conv.short_conv(k, params["k_conv"], k_tail, n_valid_B)
    v = x_BTD @ params["v"]
    v, v_tail = conv.short_conv(v, params["v_conv"], v_tail, n_valid_B)
    q_BTHE = (x_BTD @ params["q"]).reshape(B, T, hd.H, hd.E)
    q_BTHE = rms_norm(q_BTHE, params["q_norm"], cfg.norm_eps)
    k_BTKE = rms_norm(k.reshape(B, T, hd.K, hd.E), params["k_norm"], cfg.norm_eps)
    v_BTKE = v.reshape(B, T, hd.K, hd.E)
    r_BTHR = (x_BTD @ params["r"]).reshape(B, T, hd.H, cfg.rel_dim)
    if is_global:
        tau = _tau(cfg, start_B[:, None] + jnp.arange(T))[..., None, None]
        q_BTHE = (q_BTHE * tau).astype(q_BTHE.dtype)
        r_BTHR = (r_BTHR * tau).astype(r_BTHR.dtype)
    return Projected(q_BTHE, k_BTKE, v_BTKE, r_BTHR, k_tail, v_tail)


def attention(
    params: Params,
    cfg: ModelConfig,
    is_global: bool,
    x_BTD: jax.Array,
    start_B: jax.Array,
    n_valid_B: jax.Array,
    ring: Ring | None,
) -> tuple[jax.Array, Ring | None]:
    """Attention branch before its output convolution. -> ([B, T, D], ring written)."""
    hd = heads(cfg, is_global)
    tails = (None, None) if ring is None else (ring.k_conv, ring.v_conv)
    q_BTHE, k_BTKE, v_BTKE, r_BTHR, k_tail, v_tail = _project(
        params, cfg, is_global, x_BTD, start_B, n_valid_B, tails
    )
    if ring is None:
        mixed = attend_block(q_BTHE, k_BTKE, v_BTKE, r_BTHR, params["rel"], hd)
    else:
        k, v = _write(ring.k, k_BTKE, start_B), _write(ring.v, v_BTKE, start_B)
        ring = Ring(k, v, k_tail, v_tail)
        mixed = attend_ring(q_BTHE, ring, r_BTHR @ params["rel"], start_B, hd)
    return mixed @ params["o"], ring


def attention_weights(
    params: Params, cfg: ModelConfig, is_global: bool, x_BTD: jax.Array
) -> jax.Array:
    """What a block that starts a session attends to, for looking at: every query on
    every key, which takes memory that `attention` does not. -> float32 [B, H, T, T]."""
    hd = heads(cfg, is_global)
    B, T, _ = x_BTD.shape
    start, n_valid = jnp.zeros((B,), jnp.int32), jnp.full((B,), T, jnp.int32)
    p = _project(params, cfg, is_global, x_BTD, start, n_valid, (None, None))
    q, k, r = (jnp.swapaxes(x, 1, 2) for x in (p.q_BTHE, p.k_BTKE, p.r_BTHR))
    q, r = (x.reshape(B, hd.K, hd.H // hd.K, T, -1) for x in (q, r))
    return _weights(q, k, r, params["rel"], hd.window).reshape(B, hd.H, T, T)
