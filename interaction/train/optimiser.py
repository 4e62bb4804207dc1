"""AdamW with warm-up and cosine decay; weight decay on matrices only."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

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


def adam(b1: float, b2: float, eps: float = 1e-8) -> optax.GradientTransformation:
    """`optax.scale_by_adam` without its chain of divisions, which XLA simplifies one way
    for a single device and another way for several: bits must not depend on that."""

    def init(params: Any) -> optax.ScaleByAdamState:
        zeros = lambda: jax.tree.map(jnp.zeros_like, params)  # noqa: E731
        return optax.ScaleByAdamState(jnp.zeros((), jnp.int32), zeros(), zeros())

    def update(grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        count = state.count + 1
        mu = jax.tree.map(lambda m, g: m + (1 - b1) * (g - m), state.mu, grads)
        nu = jax.tree.map(lambda v, g: v + (1 - b2) * (g * g - v), state.nu, grads)
        up1, up2 = (1.0 / (1.0 - b ** count.astype(jnp.float32)) for b in (b1, b2))

        def scaled(m: jax.Array, v: jax.Array) -> jax.Array:
            return (m * up1) * (1.0 / (jnp.sqrt(v * up2) + eps))

        return jax.tree.map(scaled, mu, nu), optax.ScaleByAdamState(count, mu, nu)

    return optax.GradientTransformation(init, update)


def optimiser(train: ConfigDict) -> optax.GradientTransformation:
    """What makes updates of clipped gradients. Every operation is of one element alone,
    so that it does not matter how a mesh divides the parameters."""
    return optax.chain(
        adam(b1=0.9, b2=0.98),
        optax.add_decayed_weights(train.weight_decay, mask=_decays),
        optax.scale_by_learning_rate(schedule(train)),
    )
