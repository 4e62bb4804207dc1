"""The flow-matching head: a hidden state becomes 50 ms of continuous mel.

x_t = (1 - t) noise + t x; the head learns v = x - noise (Lipman et al., 2210.02747) with
an AdaLN MLP (as in MAR and CALM) conditioned on the hidden state, t, and the patch before.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from interaction import ops
from interaction.config import ModelConfig
from interaction.modality.audio import PATCH_DIM
from interaction.ops.rows import biased, layer_norm, matmul32
from interaction.params import Params, Spec, fan_in, ones, zeros

TIME_FREQUENCIES = 64


def specs(cfg: ModelConfig) -> dict[str, Any]:
    D, W = cfg.width, cfg.flow_width
    block = {
        "mod": Spec((W, 3 * W), ("embed", None), zeros),
        "mod_bias": Spec((3 * W,), (None,), zeros),
        "up": Spec((W, W), ("embed", None)),
        "up_bias": Spec((W,), (None,), zeros),
        "down": Spec((W, W), ("embed", None)),
        "down_bias": Spec((W,), (None,), zeros),
    }
    return {
        "in": Spec((PATCH_DIM, W), (None, "embed")),
        "hidden": Spec((D, W), ("embed", None)),
        "previous": Spec((PATCH_DIM, W), (None, "embed")),
        "time": Spec((2 * TIME_FREQUENCIES, W), (None, "embed"), fan_in),
        "cond_bias": Spec((W,), (None,), zeros),
        "blocks": [block for _ in range(cfg.flow_layers)],
        "out_norm": Spec((W,), (None,), ones),
        "out": Spec((W, PATCH_DIM), ("embed", None), zeros),
        "mean": Spec((PATCH_DIM,), (None,), zeros),
        "std": Spec((PATCH_DIM,), (None,), ones),
    }


def standardise(params: Params, mel: jax.Array) -> jax.Array:
    """log10 mel patch [..., 320] -> zero mean, unit variance per channel."""
    return (mel - params["mean"]) / params["std"]


def unstandardise(params: Params, x: jax.Array) -> jax.Array:
    return x * params["std"] + params["mean"]


def condition(
    params: Params, cfg: ModelConfig, hidden: jax.Array, previous: jax.Array
) -> jax.Array:
    """The part of the condition that does not depend on t. -> float32 [..., W]."""
    dot = functools.partial(matmul32, ops.of(cfg))
    from_hidden = dot(hidden.astype(jnp.float32), params["hidden"])
    return biased(
        ops.of(cfg), from_hidden + dot(previous, params["previous"]), params["cond_bias"]
    )


Modulation = tuple[tuple[jax.Array, jax.Array, jax.Array], ...]
"""Shift, scale and gate of every block, [..., W] each: all that t decides."""


def modulation(
    params: Params, cfg: ModelConfig, cond: jax.Array, t: jax.Array
) -> Modulation:
    """cond [..., W], t [...] -> what the blocks do to x_t at that time."""
    dot = functools.partial(matmul32, ops.of(cfg))
    frequency = jnp.exp(jnp.arange(TIME_FREQUENCIES) * (math.log(1e3) / TIME_FREQUENCIES))
    angle = t[..., None] * frequency
    time = dot(jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], -1), params["time"])
    c = jax.nn.silu(cond + time)

    def block(p: Params) -> tuple[jax.Array, jax.Array, jax.Array]:
        shift, scale, gate = jnp.split(
            biased(ops.of(cfg), dot(c, p["mod"]), p["mod_bias"]), 3, axis=-1
        )
        return shift, scale, gate

    return tuple(block(p) for p in params["blocks"])


def modulated(
    params: Params, cfg: ModelConfig, mod: Modulation, x_t: jax.Array
) -> jax.Array:
    """x_t [..., 320] at the time of `mod` -> velocity float32 [..., 320]."""
    o = ops.of(cfg)
    dot = functools.partial(matmul32, o)
    x = dot(x_t, params["in"])
    for p, (shift, scale, gate) in zip(params["blocks"], mod, strict=True):
        h = layer_norm(o, x, 1e-6) * (1 + scale) + shift
        h = jax.nn.silu(biased(o, dot(h, p["up"]), p["up_bias"]))
        x = x + (1 + gate) * biased(o, dot(h, p["down"]), p["down_bias"])
    return dot(layer_norm(o, x, 1e-6) * params["out_norm"], params["out"])


def velocity(
    params: Params, cfg: ModelConfig, cond: jax.Array, t: jax.Array, x_t: jax.Array
) -> jax.Array:
    """cond [..., W], t [...], x_t [..., 320] -> velocity float32 [..., 320]."""
    return modulated(params, cfg, modulation(params, cfg, cond, t), x_t)


def walk(
    params: Params,
    cfg: ModelConfig,
    hidden: jax.Array,
    previous: jax.Array,
    noise: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Euler steps from noise (unit normal, scaled by sqrt of the temperature) to a
    standardised patch. hidden [..., D], previous and noise [..., 320] -> (the patch
    [..., 320], where each step began [steps, ..., 320])."""
    steps, guidance = cfg.flow_steps, cfg.flow_guidance
    guided = guidance != 1.0
    cond = condition(params, cfg, hidden, previous)
    if guided:
        null = condition(params, cfg, jnp.zeros_like(hidden), previous)
        cond = jnp.stack([cond, null])
    # What t decides does not depend on x: all steps at once, then the walk.
    t = jnp.arange(steps, dtype=jnp.float32) / steps
    t = t.reshape(-1, *[1] * (cond.ndim - 1))
    shape = (steps, *cond.shape)
    mod = modulation(
        params, cfg, jnp.broadcast_to(cond, shape), jnp.broadcast_to(t, shape[:-1])
    )

    def euler(x: jax.Array, now: Modulation) -> tuple[jax.Array, jax.Array]:
        if guided:
            both = jnp.broadcast_to(x, (2, *x.shape))
            v, v_null = modulated(params, cfg, now, both)
            v = v_null + guidance * (v - v_null)
        else:
            v = modulated(params, cfg, now, x)
        return x + v * (1.0 / steps), x

    # Apart: else this constant and one inside the noise's own formula may become one.
    noise = jax.lax.optimization_barrier(noise)
    return jax.lax.scan(euler, math.sqrt(cfg.flow_temperature) * noise, mod)


def sample(
    params: Params,
    cfg: ModelConfig,
    hidden: jax.Array,
    previous: jax.Array,
    noise: jax.Array,
) -> jax.Array:
    """The patch at the end of the `walk`."""
    return walk(params, cfg, hidden, previous, noise)[0]
