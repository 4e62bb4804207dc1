"""AdamW with warm-up and cosine decay; weight decay on matrices only."""

from __future__ import annotations

import jax
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


def optimiser(train: ConfigDict) -> optax.GradientTransformation:
    """What makes updates of clipped gradients. Every operation is of one element alone,
    so that it does not matter how a mesh divides the parameters."""
    return optax.adamw(
        schedule(train), b1=0.9, b2=0.98, weight_decay=train.weight_decay, mask=_decays
    )
