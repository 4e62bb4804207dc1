"""Attention over left-aligned splits of keys.

A split holds `kv_split` keys and starts at a multiple of that in the stream, whether a
block or a ring holds it. The largest logit of a query is exact in any order; weights and
values are then summed inside each split, and splits added in order of position. A split
that a query does not see adds exact zeros, so what else is in the block or the ring, and
where a ring's rotation has put it, changes nothing. (`fast`: one split, all keys.)

Of the first `pinned` keys some are kept: seen from any distance. A kept key is summed with
its split, where any of that is within the window, else with a copy of it that lies before
everything that moves.

A block can hold several sessions that see nothing of each other. Each begins at a split, so
that it has the same sums as by itself: what is of another adds exact zeros.

Letters: B batch, K key heads, G query heads of each, T queries, S keys, E head size,
R relative size, P pinned, n splits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

from interaction.ops.rows import divide

if TYPE_CHECKING:
    from interaction.ops import Ops

MASKED = -1e30  # finite, so that a fully masked row stays finite
LONG = 4096  # positions of a block beyond which global layers loop over its queries


class Reach(NamedTuple):
    """How far a query sees, and how far the bias tells distances apart."""

    window: int
    extent: int
    kv_split: int
    pinned: int = 0

    def holds(self, query: jax.Array, key: jax.Array) -> jax.Array:
        """Whether a query still has a part of a key's split in its window."""
        return query - (key | (self.kv_split - 1)) < self.window


def profiles(
    rel_Re: jax.Array, queries: int, keys: int, first: int | jax.Array, unit: int
) -> jax.Array:
    """The bank of bias profiles laid out over keys. -> [queries, R, keys].

    Key s of query q is at distance first + q - s; zero outside 0..extent - 1.

    Squares of queries and keys (of `unit`, a power of two, or 128) on one diagonal are
    alike: each is made once, by shifts, and copied to where it belongs. A gather, or rows
    of a length that is no multiple of a tile, would cost a TPU far more.
    """
    unit = min(unit, 128)
    R, extent = rel_Re.shape
    down, along = -(-queries // unit), -(-keys // unit)
    # Distances fall from the last query and first key on; diagonal j begins at j * unit.
    reach, width = down * unit, (down + along) * unit
    row = jnp.pad(jnp.flip(rel_Re, -1), ((0, 0), (width, width)))
    begin = jnp.clip(width + extent - reach - first, 0, width + extent)
    row = jax.lax.dynamic_slice_in_dim(row, begin, width, 1).reshape(R, -1, unit)
    square = jnp.concatenate([row[:, :-1], row[:, 1:]], -1)[:, :, None]
    square = jnp.broadcast_to(square, (*square.shape[:2], unit, 2 * unit))
    left = unit - 1 - jnp.arange(unit)[:, None]  # how far row q is shifted
    step = unit // 2
    while step:
        square = jnp.where(left & step, square[..., step:], square[..., :-step])
        step //= 2
    square = jnp.moveaxis(square[..., :unit], 0, 2)  # [diagonal, unit, R, unit]
    bands = [square[down - 1 - i :][:along] for i in range(down)]
    bank = jnp.moveaxis(jnp.stack(bands), 1, 3)  # [down, unit, R, along, unit]
    return bank.reshape(reach, R, along * unit)[:queries, :, :keys]


def _in_order(parts_n: jax.Array, axis: int) -> jax.Array:
    """Sum along an axis, first to last, not as a compiler likes."""
    n = parts_n.shape[axis]
    at = lambda i: jax.lax.index_in_dim(parts_n, i, axis, keepdims=False)  # noqa: E731
    if n > 32:  # a loop, so that programs stay small
        first, rest = at(0), jax.lax.slice_in_dim(parts_n, 1, n, axis=axis)
        add = lambda total, part: (total + part, None)  # noqa: E731
        return jax.lax.scan(add, first, jnp.moveaxis(rest, axis, 0))[0]
    total = at(0)
    for i in range(1, n):
        total = total + at(i)
    return total


def weights(ops: Ops, logits: jax.Array, seen: jax.Array) -> jax.Array:
    """exp of float32 logits relative to the row's largest; 0 where not seen."""
    logits = jnp.where(seen, logits, MASKED)
    top = jax.lax.stop_gradient(ops.row_max(jax.lax.stop_gradient(logits)))
    return jnp.where(seen, jnp.exp(logits - top), 0.0)


def mix(
    ops: Ops, p: jax.Array, v: jax.Array, kv_split: int, order: jax.Array | None = None
) -> jax.Array:
    """Unnormalised weights [..., M, S] and values [..., S, E] -> [..., M, E].

    order: int [..., n], the splits by position; None when they lie in order.
    """
    *lead, M, S = p.shape
    size = ops.split(kv_split, S)
    n = S // size
    p = jnp.swapaxes(p.reshape(*lead, M, n, size), -2, -3)
    o = ops.product(p.astype(v.dtype), v.reshape(*lead, n, size, -1)).astype(jnp.float32)
    mass = ops.row_sum(p)
    if order is not None and n > 1:
        index = order[..., None, None]
        o = jnp.take_along_axis(o, index, axis=-3)
        mass = jnp.take_along_axis(mass, index, axis=-3)
    o, mass = _in_order(o, o.ndim - 3), _in_order(mass, mass.ndim - 3)
    return ops.cast(divide(ops, o, mass), v.dtype.name)


def block_logits(
    ops: Ops,
    q_BKGTE: jax.Array,
    k_BKSE: jax.Array,
    r_BKGTR: jax.Array,
    rel_Re: jax.Array,
    first: int | jax.Array,
    unit: int,
) -> jax.Array:
    """T queries against S keys, the first at distance `first` from the first of them.
    -> float32 [B, K, G * T, S]. unit: of `profiles`.

    Products are written as plain batched matmuls: XLA's CPU backend is slow at other
    layouts, backward most of all.
    """
    B, K, G, T, E = q_BKGTE.shape
    S = k_BKSE.shape[2]
    dots = ops.product_turned(q_BKGTE.reshape(B, K, G * T, E), k_BKSE)
    r = jnp.moveaxis(r_BKGTR, 3, 0).reshape(T, B * K * G, -1)
    bias = ops.product(r, profiles(rel_Re, T, S, first, unit))
    bias = jnp.moveaxis(bias.reshape(T, B, K, G, S), 0, 3).reshape(B, K, G * T, S)
    return dots.astype(jnp.float32) + bias.astype(jnp.float32)


def block_seen(
    T: int,
    S: int,
    window: int,
    groups: int,
    first: int | jax.Array,
    keep_BS: jax.Array | None = None,
    begun_BT: jax.Array | None = None,
) -> jax.Array:
    """Which of S keys those queries see. begun: where each query's session began.
    -> bool [1 or B, 1, G * T, S]."""
    distance = jnp.arange(T)[:, None] + first - jnp.arange(S)
    near = distance < window
    if keep_BS is not None:
        near = near | keep_BS[:, None]
    if begun_BT is not None:
        near = near & (jnp.arange(S) >= begun_BT[..., None])
    return jnp.tile((distance >= 0) & near, (groups, 1)).reshape(-1, 1, groups * T, S)


def attend_block(
    ops: Ops,
    q_BTHE: jax.Array,
    k_BTKE: jax.Array,
    v_BTKE: jax.Array,
    r_BTHR: jax.Array,
    rel_Re: jax.Array,
    reach: Reach,
    keep_BT: jax.Array | None = None,
    begun_BT: jax.Array | None = None,
) -> jax.Array:
    """Causal attention of a block, the stream's first positions, to itself.
    -> [B, T, H * E]. Queries are scaled already. keep: of the first `pinned` positions of
    a session. begun: of several sessions, where each position's began, at a split.

    Sliding layers fold the block into runs that see themselves and the one before;
    global layers go through their queries in a few runs, each with the keys it can see,
    or, where there are many, in a loop of runs with all keys.
    """
    B, T, H, E = q_BTHE.shape
    K, unit = k_BTKE.shape[2], reach.kv_split
    G, run = H // K, -(-reach.window // unit) * unit
    banded = T > 2 * run
    if begun_BT is not None and reach.pinned:
        banded = False  # what is kept lies anywhere
    if not banded:
        run = -(-max(128, -(-T // 8)) // unit) * unit
    many = T > LONG and not banded
    pad = -T % (run if banded or many else unit)
    heads_first = lambda x: jnp.swapaxes(  # noqa: E731
        jnp.pad(x, ((0, 0), (0, pad), (0, 0), (0, 0))), 1, 2
    )
    k, v = heads_first(k_BTKE), heads_first(v_BTKE)
    q = heads_first(q_BTHE).reshape(B, K, G, T + pad, E)
    r = heads_first(r_BTHR).reshape(B, K, G, T + pad, -1)
    if keep_BT is not None:
        keep_BT = jnp.pad(keep_BT, ((0, 0), (0, pad))) if T > reach.window else None
    if begun_BT is not None:
        begun_BT = jnp.pad(begun_BT, ((0, 0), (0, pad)))
    form = _banded if banded else _looped if many else _causal
    out = form(ops, q, k, v, r, rel_Re, reach, run, keep_BT, begun_BT)
    out = jnp.moveaxis(out.reshape(B, H, T + pad, E), 1, 2)
    return out.reshape(B, T + pad, H * E)[:, :T]


def _banded(ops, q, k, v, r, rel_Re, reach: Reach, run: int, keep, begun) -> jax.Array:
    B, K, G, T, E = q.shape
    n, P = T // run, 0 if keep is None else reach.pinned

    def fold(x: jax.Array) -> jax.Array:  # [B, ..., T, E] -> [B n, ..., run, E]
        x = x.reshape(*x.shape[:-2], n, run, x.shape[-1])
        return jnp.moveaxis(x, -3, 1).reshape(B * n, *x.shape[1:-3], *x.shape[-2:])

    def with_previous(x: jax.Array) -> jax.Array:
        before = jnp.pad(x, ((0, 0), (0, 0), (run, 0), (0, 0)))[:, :, :-run]
        return jnp.concatenate([fold(before), fold(x)], axis=2)

    def in_all(x: jax.Array) -> jax.Array:  # [B, ...] -> [B n, ...]
        return jnp.repeat(x, n, axis=0)

    before = (jnp.arange(B * n) % n * run)[:, None, None]  # positions before the run
    query, key = before + jnp.arange(run)[:, None], before - run + jnp.arange(2 * run)
    keys, values = with_previous(k), with_previous(v)
    logits = block_logits(ops, fold(q), keys, fold(r), rel_Re, run, reach.kv_split)
    near = query - key < reach.window
    if keep is not None:
        kept = with_previous(keep[:, None, :, None])[:, 0, None, :, 0]
        near |= kept & reach.holds(query, key)
    seen = (key >= 0) & (key <= query) & near
    if begun is not None:
        seen &= key >= begun.reshape(B * n, run, 1)
    if keep is not None:  # copies: no bias reaches them
        far = in_all(keep[:, None, :P]) & ~reach.holds(query, jnp.arange(P))
        dots = fold(q).reshape(B * n, K, G * run, E), in_all(k[:, :, :P])
        logits = jnp.concatenate(
            [ops.product_turned(*dots).astype(jnp.float32), logits], -1
        )
        seen = jnp.concatenate([far, seen], -1)
        values = jnp.concatenate([in_all(v[:, :, :P]), values], 2)
    p = weights(ops, logits, jnp.tile(seen, (1, G, 1))[:, None])
    out = mix(ops, p, values, reach.kv_split)
    return jnp.moveaxis(out.reshape(B, n, K, G, run, E), 1, 3)


def _causal(ops, q, k, v, r, rel_Re, reach: Reach, run: int, keep, begun) -> jax.Array:
    B, K, G, T, E = q.shape
    runs = []
    for start in range(0, T, run):
        end = min(start + run, T)
        kept = None if keep is None else keep[:, :end]
        own = None if begun is None else begun[:, start:end]
        seen = block_seen(end - start, end, reach.window, G, start, kept, own)
        queries, mixtures = q[..., start:end, :], r[..., start:end, :]
        keys = k[:, :, :end]
        logits = block_logits(ops, queries, keys, mixtures, rel_Re, start, reach.kv_split)
        out = mix(ops, weights(ops, logits, seen), v[:, :, :end], reach.kv_split)
        runs.append(out.reshape(B, K, G, end - start, E))
    return jnp.concatenate(runs, axis=3)


def _looped(ops, q, k, v, r, rel_Re, reach: Reach, run: int, keep, begun) -> jax.Array:
    """As `_causal`, for twice the products: one body, whose inside is computed again in
    the backward pass, so that neither the program nor its memory grows with the block."""
    B, K, G, T, E = q.shape

    @jax.checkpoint
    def one(queries: jax.Array, mixtures: jax.Array, first: jax.Array) -> jax.Array:
        own = None
        if begun is not None:
            own = jax.lax.dynamic_slice_in_dim(begun, first, run, 1)
        seen = block_seen(run, T, reach.window, G, first, keep, own)
        logits = block_logits(ops, queries, k, mixtures, rel_Re, first, reach.kv_split)
        return mix(ops, weights(ops, logits, seen), v, reach.kv_split)

    def by_run(x: jax.Array) -> jax.Array:
        return jnp.moveaxis(x.reshape(B, K, G, T // run, run, -1), 3, 0)

    out = jax.lax.map(lambda x: one(*x), (by_run(q), by_run(r), jnp.arange(0, T, run)))
    return jnp.moveaxis(out.reshape(-1, B, K, G, run, E), 0, 3).reshape(B, K, G, T, E)


def attend_ring(
    ops: Ops,
    q_BTHE: jax.Array,
    k_BKES: jax.Array,
    v_BKSE: jax.Array,
    r_BTHR: jax.Array,
    rel_Re: jax.Array,
    start_B: jax.Array,
    reach: Reach,
    keep_BP: jax.Array | None = None,
) -> jax.Array:
    """Attention of a block, already written at `start`, to its ring. -> [B, T, H * E].

    A slot's position follows from the cursor, so stale and not yet valid entries mask
    themselves: they lie outside the window or in the query's future. The first `pinned`
    slots are no part of the ring: they hold the stream's first keys.
    """
    B, T, H, E = q_BTHE.shape
    K, _, S = k_BKES.shape[1:]
    G, P = H // K, reach.pinned
    last_B1 = (start_B + T - 1)[:, None]
    key_BS = last_B1 - (last_B1 - jnp.arange(S - P)) % (S - P)
    query_BT1 = (start_B[:, None] + jnp.arange(T))[..., None]
    seen = query_BT1 - key_BS[:, None] < reach.window
    if keep_BP is not None:
        kept = jnp.take_along_axis(keep_BP, jnp.clip(key_BS, 0, P - 1), 1) & (key_BS < P)
        seen |= kept[:, None] & reach.holds(query_BT1, key_BS[:, None])
        far = keep_BP[:, None] & ~reach.holds(query_BT1, jnp.arange(P))
        seen = jnp.concatenate([far, seen], -1)
        first = jnp.broadcast_to(jnp.arange(P), (B, P))
        key_BS = jnp.concatenate([first, key_BS], -1)
    distance = query_BT1 - key_BS[:, None]
    seen &= (distance >= 0) & (key_BS[:, None] >= 0)
    near = (distance >= 0) & (distance < reach.extent)

    rows = ops.product(r_BTHR.reshape(B * T * H, -1), rel_Re).astype(jnp.float32)
    index = jnp.clip(distance, 0, reach.extent - 1)[:, :, None]
    bias = jnp.take_along_axis(rows.reshape(B, T, H, -1), index, axis=-1)
    bias = jnp.where(near[:, :, None], bias, 0)

    def heads_first(x: jax.Array) -> jax.Array:  # [B, T, H, .] -> [B, K, G * T, .]
        x = jnp.swapaxes(x, 1, 2)
        return x.reshape(B, K, G * T, x.shape[-1])

    logits = ops.product(heads_first(q_BTHE), k_BKES).astype(jnp.float32)
    seen = jnp.tile(seen, (1, G, 1))[:, None]
    order = _by_age(last_B1, reach.kv_split, S, P)
    p = weights(ops, logits + heads_first(bias), seen)
    n = order.shape[-1]
    out = mix(ops, p, v_BKSE, reach.kv_split, jnp.broadcast_to(order[:, None], (B, K, n)))
    return jnp.swapaxes(out.reshape(B, H, T, E), 1, 2).reshape(B, T, H * E)


def _by_age(last_B1: jax.Array, size: int, S: int, P: int) -> jax.Array:
    """Splits by position: pinned ones, then a ring's, of which the oldest comes after the
    one that was written last. -> [B, n]"""
    first, splits = P // size, (S - P) // size
    oldest = (last_B1 // size + 1 - splits) % splits
    ring = first + (oldest + jnp.arange(splits)) % splits
    pinned = jnp.broadcast_to(jnp.arange(first), (len(ring), first))
    return jnp.concatenate([pinned, ring], axis=-1)
