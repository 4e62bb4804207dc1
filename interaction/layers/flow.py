"""The flow-matching head: a hidden state becomes 50 ms of continuous mel.

x_t = (1 - t) noise + t x; the head learns v = x - noise (Lipman et al., 2210.02747) with
an AdaLN MLP (as in MAR and CALM) conditioned on the hidden state, t, and the patch before.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from interaction.config import ModelConfig
from interaction.modality.audio import PATCH_DIM
from interaction.params import Params, Spec, fan_in, ones, zeros

TIME_FREQUENCIES = 64


def specs(cfg: ModelConfig) -> dict[str, Any]:
    D, W = cfg.width, cfg.flow_width
    block = {
        "mod": Spec((W, 3 * W), (None, None), zeros),
        "mod_bias": Spec((3 * W,), (None,), zeros),
        "up": Spec((W, W), (None, None)),
        "up_bias": Spec((W,), (None,), zeros),
        "down": Spec((W, W), (None, None)),
        "down_bias": Spec((W,), (None,), zeros),
    }
    return {
        "in": Spec((PATCH_DIM, W), (None, None)),
        "hidden": Spec((D, W), ("embed", None)),
        "previous": Spec((PATCH_DIM, W), (None, None)),
        "time": Spec((2 * TIME_FREQUENCIES, W), (None, None), fan_in),
        "cond_bias": Spec((W,), (None,), zeros),
        "blocks": [block for _ in range(cfg.flow_layers)],
        "out_norm": Spec((W,), (None,), ones),
        "out": Spec((W, PATCH_DIM), (None, None), zeros),
        "mean": Spec((PATCH_DIM,), (None,), zeros),
        "std": Spec((PATCH_DIM,), (None,), ones),
    }


def standardise(params: Params, mel: jax.Array) -> jax.Array:
    """log10 mel patch [..., 320] -> zero mean, unit variance per channel."""
    return (mel - params["mean"]) / params["std"]


def unstandardise(params: Params, x: jax.Array) -> jax.Array:
    return x * params["std"] + params["mean"]


def _layer_norm(x: jax.Array) -> jax.Array:
    x = x - x.mean(-1, keepdims=True)
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def condition(params: Params, hidden: jax.Array, previous: jax.Array) -> jax.Array:
    """The part of the condition that does not depend on t. -> float32 [..., W]."""
    hidden = hidden.astype(jnp.float32)
    return hidden @ params["hidden"] + previous @ params["previous"] + params["cond_bias"]


def velocity(params: Params, cond: jax.Array, t: jax.Array, x_t: jax.Array) -> jax.Array:
    """cond [..., W], t [...], x_t [..., 320] -> velocity float32 [..., 320]."""
    frequency = jnp.exp(jnp.arange(TIME_FREQUENCIES) * (math.log(1e3) / TIME_FREQUENCIES))
    angle = t[..., None] * frequency
    time = jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], -1) @ params["time"]
    c = jax.nn.silu(cond + time)
    x = x_t @ params["in"]
    for block in params["blocks"]:
        shift, scale, gate = jnp.split(c @ block["mod"] + block["mod_bias"], 3, axis=-1)
        h = _layer_norm(x) * (1 + scale) + shift
        h = jax.nn.silu(h @ block["up"] + block["up_bias"])
        x = x + (1 + gate) * (h @ block["down"] + block["down_bias"])
    return (_layer_norm(x) * params["out_norm"]) @ params["out"]


def sample(
    params: Params,
    cfg: ModelConfig,
    hidden: jax.Array,
    previous: jax.Array,
    noise: jax.Array,
) -> jax.Array:
    """Euler steps from noise (unit normal, scaled by sqrt of the temperature) to a
    standardised patch. hidden [..., D], previous and noise [..., 320] -> [..., 320]."""
    cond = condition(params, hidden, previous)
    null = condition(params, jnp.zeros_like(hidden), previous)
    steps, guidance = cfg.flow_steps, cfg.flow_guidance

    def euler(x: jax.Array, i: jax.Array) -> tuple[jax.Array, None]:
        t = jnp.broadcast_to(i / steps, x.shape[:-1])
        v = velocity(params, cond, t, x)
        if guidance != 1.0:
            v_null = velocity(params, null, t, x)
            v = v_null + guidance * (v - v_null)
        return x + v / steps, None

    x = math.sqrt(cfg.flow_temperature) * noise
    return jax.lax.scan(euler, x, jnp.arange(steps, dtype=jnp.float32))[0]
