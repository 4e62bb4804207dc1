"""AdamW, or Muon for matrices, with warm-up and cosine decay; weight decay on matrices."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.params import flatten
from interaction.rounding import rounded
from interaction.train import muon

DECAYS = frozenset(
    "q k v r o router gate up down shared_gate shared_up shared_down unembed heard "
    "unembed_controls w0 w1 w2 w3 w4 w5 out voice in hidden previous time mod".split()
)

MOMENTS = ("float32", "bfloat16")
"""What first moments may be kept in; second ones are of float32's range and precision."""


def _decays(params) -> dict:
    """Matrices decay; tables, norms, biases, convolutions and buffers do not. By name:
    layers carry a repeat axis, so that even their biases have two axes."""
    return jax.tree_util.tree_map_with_path(
        lambda path, x: (
            jax.tree_util.keystr(path[-1:]).strip("[]'") in DECAYS and x.ndim >= 2
        ),
        params,
    )


def schedule(train: ConfigDict) -> optax.Schedule:
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=train.learning_rate,
        warmup_steps=min(train.warmup, max(train.steps // 2, 1)),
        decay_steps=max(train.steps, 2),
        end_value=0.02 * train.learning_rate,
    )


def optimiser(
    train: ConfigDict,
    cfg: ModelConfig,
    mesh: Mesh | None,
    b1: float = 0.9,
    b2: float = 0.98,
    eps: float = 1e-8,
) -> optax.GradientTransformation:
    """What makes updates of clipped gradients: AdamW, and for the matrices of layers Muon
    where `train.muon` is set. First moments are kept in `train.moments_dtype`.

    As `optax.adamw`, but for bits that do not depend on how a mesh divides the
    parameters: every operation is of one element alone (or of one whole matrix), nothing
    is divided twice (XLA simplifies that one way for a single device and another way for
    several), and what is used more than once is rounded first. Raises InputError on
    another dtype than `MOMENTS`.
    """
    kept = train.get("moments_dtype", "float32")
    if kept not in MOMENTS:
        raise InputError(f"train.moments_dtype={kept}: one of {', '.join(MOMENTS)}")
    matrices = muon.names(cfg) if train.get("muon") else frozenset[str]()
    none = optax.MaskedNode()

    def by_name(f: Callable[..., Any], *trees: Any) -> Any:
        """f(name, ...) of every leaf, named as `flatten` names it."""
        name = functools.partial(jax.tree_util.keystr, simple=True, separator=".")
        return jax.tree_util.tree_map_with_path(lambda at, *x: f(name(at), *x), *trees)

    def init(params: Any) -> optax.ScaleByAdamState:
        zeros = lambda name, p: jnp.zeros(p.shape, kept)  # noqa: E731
        second = lambda name, p: none if name in matrices else jnp.zeros_like(p)  # noqa: E731
        mu, nu = by_name(zeros, params), by_name(second, params)
        return optax.ScaleByAdamState(jnp.zeros((), jnp.int32), mu, nu)

    def first(name: str, g: jax.Array, m: jax.Array) -> jax.Array:
        b, m = muon.MOMENTUM if name in matrices else b1, m.astype(jnp.float32)
        return rounded(m + (1 - b) * (g - m))

    def second(name: str, g: jax.Array, v: Any) -> Any:
        return v if name in matrices else rounded(v + (1 - b2) * (rounded(g * g) - v))

    def update(grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        mu, nu = by_name(first, grads, state.mu), by_name(second, grads, state.nu)
        count, rate = state.count + 1, schedule(train)(state.count)
        up1, up2 = (rounded(1.0 / (1.0 - b ** count.astype(jnp.float32))) for b in (b1, b2))
        flat_g, flat_m, b = flatten(grads), flatten(mu), muon.MOMENTUM
        ahead = {n: rounded(b * flat_m[n] + (1 - b) * flat_g[n]) for n in sorted(matrices)}
        straight = muon.directions(cfg, mesh, ahead) if ahead else {}

        def one(name: str, p: jax.Array, m: jax.Array, v: Any, decays: bool) -> jax.Array:
            if name in matrices:
                step = straight[name]
            else:
                inverse = rounded(1.0 / (jnp.sqrt(rounded(v * up2)) + eps))
                step = rounded((m * up1) * inverse)
            step = rounded(step + train.weight_decay * p) if decays else step
            return rounded(-rate * step)

        updates = by_name(one, params, mu, nu, _decays(params))
        mu = jax.tree.map(lambda m: m.astype(kept), mu)
        return updates, optax.ScaleByAdamState(count, mu, nu)

    return optax.GradientTransformation(init, update)
