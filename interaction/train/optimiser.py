"""AdamW with warm-up and cosine decay; weight decay on matrices only."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from interaction.rounding import rounded

DECAYS = frozenset(
    "q k v r o router gate up down shared_gate shared_up shared_down unembed heard "
    "unembed_controls w0 w1 w2 w3 w4 w5 out voice in hidden previous time mod".split()
)


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
    train: ConfigDict, b1: float = 0.9, b2: float = 0.98, eps: float = 1e-8
) -> optax.GradientTransformation:
    """AdamW: what makes updates of clipped gradients.

    As `optax.adamw`, but for bits that do not depend on how a mesh divides the
    parameters: every operation is of one element alone, nothing is divided twice (XLA
    simplifies that one way for a single device and another way for several), and what
    is used more than once is rounded first.
    """
    rate = schedule(train)

    def init(params: Any) -> optax.ScaleByAdamState:
        zeros = lambda: jax.tree.map(jnp.zeros_like, params)  # noqa: E731
        return optax.ScaleByAdamState(jnp.zeros((), jnp.int32), zeros(), zeros())

    def update(grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        mu = jax.tree.map(lambda m, g: rounded(m + (1 - b1) * (g - m)), state.mu, grads)
        squares = jax.tree.map(lambda g: rounded(g * g), grads)
        nu = jax.tree.map(lambda v, s: rounded(v + (1 - b2) * (s - v)), state.nu, squares)
        count = state.count + 1
        up1, up2 = (rounded(1.0 / (1.0 - b ** count.astype(jnp.float32))) for b in (b1, b2))

        def one(m: jax.Array, v: jax.Array, p: jax.Array, decays: bool) -> jax.Array:
            inverse = rounded(1.0 / (jnp.sqrt(rounded(v * up2)) + eps))
            step = rounded((m * up1) * inverse)
            step = rounded(step + train.weight_decay * p) if decays else step
            return rounded(-rate(state.count) * step)

        updates = jax.tree.map(one, mu, nu, params, _decays(params))
        return updates, optax.ScaleByAdamState(count, mu, nu)

    return optax.GradientTransformation(init, update)
