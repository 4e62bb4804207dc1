"""What a training run is at one step, and how one batch changes it."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from interaction import model
from interaction.config import ModelConfig
from interaction.params import Params, initialise
from interaction.train.losses import Weights, loss


class TrainState(NamedTuple):
    """step int32 [], parameters, and the optimiser's state."""

    step: jax.Array
    params: Params
    opt: Any


def create(cfg: ModelConfig, tx: optax.GradientTransformation, seed: int) -> TrainState:
    params = initialise(model.specs(cfg), jax.random.key(seed))
    return TrainState(jnp.int32(0), params, tx.init(params))


def _balance(params: Params, cfg: ModelConfig, load_LX: jax.Array, rate: float) -> Params:
    """Aux-loss-free balance (DeepSeek-V3): b += rate * sign(mean load - load)."""
    step = rate * jnp.sign(load_LX.mean(-1, keepdims=True) - load_LX)
    layers, row = [], 0
    for segment, run in zip(cfg.segments, params["layers"], strict=True):
        sparse = [i for i, kind in enumerate(segment.pattern) if not kind.is_dense]
        rows = step[row : row + len(sparse) * segment.repeats]
        rows = rows.reshape(segment.repeats, len(sparse), rows.shape[-1])
        row += len(sparse) * segment.repeats
        run = list(run)
        for column, i in enumerate(sparse):
            bias = run[i]["mlp"]["router_bias"] + rows[:, column]
            run[i] = run[i] | {"mlp": run[i]["mlp"] | {"router_bias": bias}}
        layers.append(run)
    return params | {"layers": layers}


@functools.partial(
    jax.jit, static_argnames=("cfg", "tx", "weights", "remat"), donate_argnames="state"
)
def train_step(
    state: TrainState,
    batch: dict[str, jax.Array],
    key: jax.Array,
    bias_rate: float,
    *,
    cfg: ModelConfig,
    tx: optax.GradientTransformation,
    weights: Weights,
    remat: bool,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One update. `key` is the run's; the step is folded in here. A step whose loss or
    gradient is not finite changes nothing and says so in `finite`."""
    (_, metrics), grads = jax.value_and_grad(loss, has_aux=True)(
        state.params, cfg, weights, batch, jax.random.fold_in(key, state.step), remat
    )
    norm = optax.global_norm(grads)
    finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(norm)
    updates, opt = tx.update(grads, state.opt, state.params)
    params = optax.apply_updates(state.params, updates)
    params = _balance(params, cfg, metrics["load"], bias_rate)
    keep = lambda new, old: jnp.where(finite, new, old)  # noqa: E731
    params = jax.tree.map(keep, params, state.params)
    opt = jax.tree.map(keep, opt, state.opt)
    metrics |= {"grad_norm": norm, "finite": finite}
    return TrainState(state.step + 1, params, opt), metrics
