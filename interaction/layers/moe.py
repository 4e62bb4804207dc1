"""Feed-forward branches: the mixture of experts, and Inkling's dense layers.

Router: sigmoid scores; a bias, outside the gradient, balances the *selection* only;
the chosen experts and the shared ones share one normalisation of their log-sigmoids,
times `route_scale` and a learned scale. Nothing is ever dropped.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from interaction.config import ModelConfig
from interaction.ops.experts import experts
from interaction.params import Params, Spec, ones, zeros


def specs(cfg: ModelConfig) -> dict[str, Spec]:
    D, F, X, S = cfg.width, cfg.expert_width, cfg.experts, cfg.shared_experts
    return {
        "router": Spec((D, X + S), ("embed", None)),
        "router_bias": Spec((X,), (None,), zeros),
        "router_scale": Spec((1,), (None,), ones),
        "gate": Spec((X, D, F), ("expert", "embed", "mlp")),
        "up": Spec((X, D, F), ("expert", "embed", "mlp")),
        "down": Spec((X, F, D), ("expert", "mlp", "embed")),
        "shared_gate": Spec((S, D, F), (None, "embed", "mlp")),
        "shared_up": Spec((S, D, F), (None, "embed", "mlp")),
        "shared_down": Spec((S, F, D), (None, "mlp", "embed")),
    }


def dense_specs(cfg: ModelConfig) -> dict[str, Spec]:
    D, F = cfg.width, cfg.dense_width
    return {
        "gate": Spec((D, F), ("embed", "mlp")),
        "up": Spec((D, F), ("embed", "mlp")),
        "down": Spec((F, D), ("mlp", "embed")),
        "scale": Spec((1,), (None,), ones),
    }


class Routing(NamedTuple):
    """Which experts each row goes to, and with what weight."""

    chosen_NA: jax.Array  # int32, A = experts_per_token
    weight_NA: jax.Array  # float32
    shared_NS: jax.Array  # float32


def route(params: Params, cfg: ModelConfig, x_ND: jax.Array) -> Routing:
    logits = x_ND.astype(jnp.float32) @ params["router"].astype(jnp.float32)
    routed, shared = logits[:, : cfg.experts], logits[:, cfg.experts :]
    bias = jax.lax.stop_gradient(params["router_bias"].astype(jnp.float32))
    chosen = jax.lax.top_k(jax.nn.sigmoid(routed) + bias, cfg.experts_per_token)[1]
    picked = jnp.take_along_axis(routed, chosen, axis=-1)
    log = jax.nn.log_sigmoid(jnp.concatenate([picked, shared], axis=-1))
    scale = cfg.route_scale * params["router_scale"].astype(jnp.float32)
    weight = jax.nn.softmax(log, axis=-1) * scale
    split = cfg.experts_per_token
    return Routing(chosen, weight[:, :split], weight[:, split:])


def moe(params: Params, cfg: ModelConfig, x_BTD: jax.Array) -> tuple[jax.Array, Routing]:
    """-> (branch output [B, T, D], routing of the B*T rows)."""
    x_ND = x_BTD.reshape(-1, x_BTD.shape[-1])
    routing = route(params, cfg, x_ND)
    every = jnp.broadcast_to(jnp.arange(cfg.shared_experts), routing.shared_NS.shape)
    y_ND = experts(
        x_ND,
        routing.chosen_NA,
        routing.weight_NA,
        params["gate"],
        params["up"],
        params["down"],
    )
    if cfg.shared_experts:
        y_ND = y_ND + experts(
            x_ND,
            every,
            routing.shared_NS,
            params["shared_gate"],
            params["shared_up"],
            params["shared_down"],
        )
    return y_ND.reshape(x_BTD.shape), routing


def dense(params: Params, x_BTD: jax.Array) -> jax.Array:
    hidden = jax.nn.silu(x_BTD @ params["gate"]) * (x_BTD @ params["up"])
    return (hidden @ params["down"]) * params["scale"].astype(x_BTD.dtype)


def load(routing: Routing, valid_N: jax.Array, n_experts: int) -> jax.Array:
    """Valid rows per expert -> float32 [X], for the bias update and for looking at."""
    hits = jax.nn.one_hot(routing.chosen_NA, n_experts, dtype=jnp.float32).sum(1)
    return (hits * valid_N[:, None]).sum(0)
