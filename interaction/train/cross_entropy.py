"""Cross-entropy over the vocabulary, in constant memory, with its rows on many devices.

Logits of `CHUNK` positions exist at once; the backward pass makes them again. On a mesh,
a device has the logits of its rows of the vocabulary alone: maxima, sums and the targets'
logits meet, never the logits.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from interaction import model, ops
from interaction.config import ModelConfig
from interaction.ops.sums import tree
from interaction.parallel.collectives import index, largest, summed, total
from interaction.params import Params

CHUNK = 2048  # positions
TENSOR = ("tensor",)


class Entropy(NamedTuple):
    """Of every position, float32 [N]: -log p(target); log of the sum over the vocabulary;
    1 where no other output is likelier than the target."""

    loss: jax.Array
    log_z: jax.Array
    right: jax.Array


def cross_entropy(
    params: Params, cfg: ModelConfig, hidden_ND: jax.Array, target_N: jax.Array
) -> Entropy:
    """hidden: what `model.logits` takes; params: `model.whole`; target: int32."""
    N = len(target_N)
    part = functools.partial(_part, params, cfg)
    if N <= CHUNK:
        return part((hidden_ND, target_N))
    n = -(-N // CHUNK)

    def fold(x: jax.Array) -> jax.Array:
        filled = jnp.pad(x, [(0, n * CHUNK - N)] + [(0, 0)] * (x.ndim - 1))
        return filled.reshape(n, CHUNK, *x.shape[1:])

    out = jax.lax.map(jax.checkpoint(part), (fold(hidden_ND), fold(target_N)))
    return Entropy(*(x.reshape(-1)[:N] for x in out))


def _part(params: Params, cfg: ModelConfig, rows: tuple[jax.Array, jax.Array]) -> Entropy:
    hidden, target = rows
    o = ops.of(cfg)
    text, control = model.divided_logits(params, cfg, hidden)
    V = text.shape[-1]
    in_text = _at(text, target - index(TENSOR) * V)
    if cfg.vocab > V:
        in_text = summed(in_text, TENSOR, o.all_reduce)
    chosen = in_text + _at(control, target - cfg.controls_at)
    log_z = _log_z(o, o.parts(cfg.tensor_shards, total(TENSOR)), text, control)
    best = _top(o, *jax.lax.stop_gradient((text, control)))[..., 0]
    return Entropy(log_z - chosen, log_z, (chosen >= best).astype(jnp.float32))


def _at(values: jax.Array, index: jax.Array) -> jax.Array:
    """values[..., index], 0 outside, as a masked sum, whose gradient needs no scatter."""
    hit = jnp.arange(values.shape[-1]) == index[..., None]
    return jnp.where(hit, values, 0.0).sum(-1)


def _top(o: ops.Ops, text: jax.Array, control: jax.Array) -> jax.Array:
    return largest(jnp.maximum(o.row_max(text), o.row_max(control)), TENSOR)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _log_z(o: ops.Ops, parts: int, text: jax.Array, control: jax.Array) -> jax.Array:
    """log of the sum of exp over all outputs: those of the text in virtual shards, added
    as a tree, first here, then over the devices; then the controls. -> [N]"""
    top = _top(o, text, control)
    size = text.shape[-1] // parts
    shard = lambda i: o.row_sum(jnp.exp(text[..., i * size : (i + 1) * size] - top))  # noqa: E731
    z = o.all_reduce(tree([shard(i) for i in range(parts)]), TENSOR)
    return (top + jnp.log(z + o.row_sum(jnp.exp(control - top))))[..., 0]


def _forward(o, parts, text, control) -> tuple[jax.Array, tuple]:
    y = _log_z(o, parts, text, control)
    return y, (text, control, y)


def _backward(o, parts, kept: tuple, g: jax.Array) -> tuple[jax.Array, jax.Array]:
    text, control, y = kept
    share = lambda x: g[..., None] * jnp.exp(x - y[..., None])  # noqa: E731
    return share(text), share(control)


_log_z.defvjp(_forward, _backward)
