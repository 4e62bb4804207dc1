"""Feed-forward branches: the mixture of experts, and Inkling's dense layers.

Router: sigmoid scores; a bias, outside the gradient, balances the *selection* only;
the chosen experts and the shared ones share one normalisation of their log-sigmoids,
times `route_scale` and a learned scale. Nothing is ever dropped.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from interaction import ops
from interaction.config import ModelConfig
from interaction.ops import rows
from interaction.ops.experts import Experts, experts
from interaction.parallel.collectives import fanned
from interaction.params import Params, Spec, ones, zeros

KEPT = "experts"
"""What the experts gave: kept where a layer is recomputed, so that rows are not sent out
and multiplied a second time."""


def specs(cfg: ModelConfig) -> dict[str, Spec]:
    D, F, X, S = cfg.width, cfg.expert_width, cfg.experts, cfg.shared_experts
    return {
        "router": Spec((D, X + S), ("embed", None)),
        "router_bias": Spec((X,), (None,), zeros),
        "router_scale": Spec((1,), (None,), ones),
        "gate": Spec((X, D, F), ("expert", "embed", None)),
        "up": Spec((X, D, F), ("expert", "embed", None)),
        "down": Spec((X, F, D), ("expert", None, "embed")),
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
    o = ops.of(cfg)
    logits = rows.matmul32(o, x_ND.astype(jnp.float32), params["router"])
    routed, shared = logits[:, : cfg.experts], logits[:, cfg.experts :]
    bias = jax.lax.stop_gradient(params["router_bias"].astype(jnp.float32))
    chosen = jax.lax.top_k(jax.nn.sigmoid(routed) + bias, cfg.experts_per_token)[1]
    picked = jnp.take_along_axis(routed, chosen, axis=-1)
    log = jax.nn.log_sigmoid(jnp.concatenate([picked, shared], axis=-1))
    shares = rows.softmax(o, log) * cfg.route_scale
    weight = rows.scaled(o, shares, params["router_scale"].astype(jnp.float32))
    split = cfg.experts_per_token
    return Routing(chosen, weight[:, :split], weight[:, split:])


def moe(params: Params, cfg: ModelConfig, x_BTD: jax.Array) -> tuple[jax.Array, Routing]:
    """-> (branch output [B, T, D], routing of the B*T rows)."""
    o = ops.of(cfg)
    x_ND = x_BTD.reshape(-1, x_BTD.shape[-1])
    routing = route(params, cfg, x_ND)
    # Devices along `tensor` route alike; their own experts see part of the gradient.
    mine = fanned(x_ND, ("tensor",), o.all_reduce)
    weight = fanned(routing.weight_NA, ("tensor",), o.all_reduce)
    held = Experts(params["gate"], params["up"], params["down"])
    y_ND = checkpoint_name(experts(o, mine, routing.chosen_NA, weight, held), KEPT)
    if cfg.shared_experts:
        y_ND = _add(cfg, y_ND, _shared(params, cfg, x_ND, routing.shared_NS))
    return y_ND.reshape(x_BTD.shape), routing


def _add(cfg: ModelConfig, a: jax.Array, b: jax.Array) -> jax.Array:
    total = a.astype(jnp.float32) + b.astype(jnp.float32)
    return ops.of(cfg).cast(total, a.dtype.name)


def _swiglu(
    cfg: ModelConfig,
    x: jax.Array,
    gate: jax.Array,
    up: jax.Array,
    down: jax.Array,
    weight: jax.Array | None = None,
) -> jax.Array:
    """One SwiGLU whose hidden units are divided over `tensor`. weight [N]: of its rows,
    applied before the down projection."""
    o = ops.of(cfg)
    x = fanned(x, ("tensor",), o.all_reduce)
    if weight is not None:
        weight = fanned(weight, ("tensor",), o.all_reduce)[:, None]
    gates, ups = rows.matmul32(o, x, gate), rows.matmul32(o, x, up)
    hidden = rows.swiglu(o, gates, ups, weight, x.dtype)
    return rows.matmul_divided(o, hidden, down, cfg.tensor_shards)


def _shared(
    params: Params, cfg: ModelConfig, x_ND: jax.Array, weight_NS: jax.Array
) -> jax.Array:
    def one(s: int) -> jax.Array:
        gate, up, down = (params[f"shared_{name}"][s] for name in ("gate", "up", "down"))
        return _swiglu(cfg, x_ND, gate, up, down, weight_NS[:, s])

    return functools.reduce(
        functools.partial(_add, cfg), [one(s) for s in range(cfg.shared_experts)]
    )


def dense(params: Params, cfg: ModelConfig, x_BTD: jax.Array) -> jax.Array:
    y = _swiglu(cfg, x_BTD, params["gate"], params["up"], params["down"])
    o = ops.of(cfg)
    scale = o.cast(params["scale"], y.dtype.name).astype(jnp.float32)
    return o.cast(rows.scaled(o, y.astype(jnp.float32), scale), y.dtype.name)


def load(routing: Routing, valid_N: jax.Array, n_experts: int) -> jax.Array:
    """Valid rows per expert -> float32 [X], for the bias update and for looking at."""
    hits = jax.nn.one_hot(routing.chosen_NA, n_experts, dtype=jnp.float32).sum(1)
    return (hits * valid_N[:, None]).sum(0)
