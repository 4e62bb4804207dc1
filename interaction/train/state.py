"""What a training run is at one step, and how one batch changes it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec, SingleDeviceSharding

from interaction import model, ops
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.ops.sums import tree
from interaction.parallel.collectives import index, total
from interaction.parallel.mesh import ROWS, TABLE, row_devices
from interaction.parallel.placement import (
    EVERYWHERE,
    described,
    kept,
    of_moments,
    of_params,
    over,
)
from interaction.parallel.sharding import shardings
from interaction.params import Params, Spec, abstract, initialise, is_spec
from interaction.rounding import rounded
from interaction.train.losses import Weights, counts, loss

PARTS = 1024  # at least the devices along the axes that divide one axis of a parameter


class TrainState(NamedTuple):
    """step int32 [], parameters, and the optimiser's state."""

    step: jax.Array
    params: Params
    opt: Any


def partitions(state: TrainState, cfg: ModelConfig, mesh: Mesh) -> TrainState:
    """Where a state's arrays live."""
    moments, named = of_moments(cfg, mesh), state.params.keys()
    are_moments = lambda x: isinstance(x, dict) and x.keys() == named  # noqa: E731
    where = jax.tree.map(
        lambda x: moments if are_moments(x) else EVERYWHERE, state.opt, is_leaf=are_moments
    )
    return TrainState(EVERYWHERE, of_params(cfg, mesh), where)  # type: ignore[arg-type]


def described_state(
    cfg: ModelConfig, tx: optax.GradientTransformation, mesh: Mesh | None
) -> TrainState:
    """Shapes of a state's arrays and where they live; without a mesh, on one device."""
    whole = lambda params: TrainState(jnp.int32(0), params, tx.init(params))  # noqa: E731
    shapes = jax.eval_shape(whole, abstract(model.specs(cfg)))
    if mesh is not None:
        return described(mesh, shapes, partitions(shapes, cfg, mesh))
    here = SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(lambda x: x.update(sharding=here), shapes)


def create(
    cfg: ModelConfig, tx: optax.GradientTransformation, seed: int, mesh: Mesh | None = None
) -> TrainState:
    """A new state, each array born where it lives: no device, and no host, ever holds
    more than its part. Its values are the same on every mesh."""
    at = shardings(cfg, mesh) if mesh else None
    params = initialise(model.specs(cfg), jax.random.key(seed), at)
    return begun(params, cfg, tx, mesh)


def begun(
    params: Params, cfg: ModelConfig, tx: optax.GradientTransformation, mesh: Mesh | None
) -> TrainState:
    """The state before the first step, of parameters that are where they live."""
    at = jax.tree.map(lambda x: x.sharding, described_state(cfg, tx, mesh))
    new = jax.jit(
        lambda params: (jnp.int32(0), tx.init(params)), out_shardings=(at.step, at.opt)
    )
    step, opt = new(params)
    if mesh is None:  # said to live there: else it would not have the second step's program
        params = jax.device_put(params, at.params)
    return TrainState(step, params, opt)


def _balance(params: Params, cfg: ModelConfig, load_LX: jax.Array, rate: float) -> Params:
    """Aux-loss-free balance (DeepSeek-V3): b += rate * sign(mean load - load)."""
    step = rate * jnp.sign(load_LX.mean(-1, keepdims=True) - load_LX)
    sparse = [i for i, kind in enumerate(cfg.layer_kinds) if not kind.is_dense]

    def moved(run: Params, numbers: tuple[int, ...]) -> Params:
        if numbers[0] not in sparse:
            return run
        rows = step[np.array([sparse.index(n) for n in numbers])]
        bias = run["mlp"]["router_bias"] + rows
        return run | {"mlp": run["mlp"] | {"router_bias": bias}}

    layers = [
        [moved(run, numbers) for run, numbers in zip(segment, stacks, strict=True)]
        for segment, stacks in zip(params["layers"], cfg.stacks, strict=True)
    ]
    return params | {"layers": layers}


def sum_of_leaves(f: Callable[[jax.Array], Any], n: int) -> Any:
    """f(0) + ... + f(n - 1) as a binary tree, neighbours first, in constant memory: loops
    of two inside loops of two; zeros are positive. f is traced and compiled once."""
    f = jax.jit(f, inline=True)
    shapes = jax.eval_shape(f, jnp.int32(0))

    def summed(first: jax.Array, n: int) -> Any:
        if n == 1:
            return f(first)
        half = n // 2

        def add(i: jax.Array, total: Any) -> Any:
            part = jax.tree.map(rounded, summed(first + i * half, half))
            return jax.tree.map(jnp.add, total, part)

        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        return jax.lax.fori_loop(0, 2, add, nothing)

    # Adding to nothing makes a zero positive, but compilers may leave it out, and one leaf
    # is added to nothing.
    positive = lambda x: jnp.where(x == 0, jnp.zeros_like(x), x)  # noqa: E731
    return jax.tree.map(positive, summed(jnp.int32(0), n))


def _gradients_of(
    cfg: ModelConfig,
    weights: Weights,
    leaves: int,
    remat: bool,
    params: Params,
    batch_Lnb: dict[str, jax.Array],
    key: jax.Array,
) -> tuple[Params, dict[str, jax.Array], jax.Array]:
    """Gradients (divided as the parameters are), metrics and gradient norm of a batch,
    from this device's part of it.

    The batch is `leaves` parts; leaf l * n + i is the l-th of the i-th of n devices along
    `ROWS`. Sums over leaves are one binary tree wherever they are: over the devices, then
    over a device's own.
    """
    o, specs = ops.of(cfg), model.specs(cfg)
    batch = jax.tree.map(lambda x: x[:, 0], batch_Lnb)
    mine = next(iter(batch.values())).shape[0]
    part_weights = weights._replace(voice_rows=-(-weights.voice_rows // leaves))
    at = lambda l: jax.tree.map(lambda x: x[l], batch)  # noqa: E731, E741
    part_counts = [counts(at(i), part_weights.voice_rows) for i in range(mine)]
    n = jax.tree.map(lambda *x: o.all_reduce(sum(x[1:], x[0]), ROWS), *part_counts)

    def leaf(i: jax.Array) -> tuple[Params, dict[str, jax.Array]]:
        number = i * total(ROWS) + index(ROWS)
        grads, metrics = jax.grad(loss, has_aux=True)(
            params, cfg, part_weights, at(i), jax.random.fold_in(key, number), n, remat
        )
        return grads, jax.tree.map(lambda x: o.all_reduce(x, ROWS), metrics)

    grads, metrics = sum_of_leaves(leaf, mine)
    of = functools.partial(sum_of_squares, o)
    squares = jax.tree.map(of, specs, grads, is_leaf=is_spec)
    norm = jnp.sqrt(tree(jax.tree.leaves(squares)))
    right, speech = metrics.pop("heard_right"), metrics.pop("heard_speech")
    return grads, metrics | {"heard_accuracy": right / jnp.maximum(speech, 1.0)}, norm


def batch_gradients(
    params: Params,
    batch: dict[str, jax.Array],
    key: jax.Array,
    cfg: ModelConfig,
    weights: Weights,
    leaves: int,
    remat: bool,
    mesh: Mesh | None,
) -> tuple[Params, dict[str, jax.Array], jax.Array]:
    """`_gradients_of` a whole batch [rows, ...], divided over a mesh as `leaves` parts."""
    devices = row_devices(mesh)
    shape = (leaves // devices, devices, -1)
    parts = jax.tree.map(lambda x: x.reshape(*shape, *x.shape[1:]), batch)
    at, by = of_params(cfg, mesh), PartitionSpec(None, ROWS)
    part = functools.partial(_gradients_of, cfg, weights, leaves, remat)
    run = over(mesh, part, (at, by, EVERYWHERE), (at, EVERYWHERE, EVERYWHERE))
    return run(params, parts, key)


def sum_of_squares(o: ops.Ops, spec: Spec, g: jax.Array) -> jax.Array:
    """Sum of squares of a parameter's gradient: of an axis that a mesh may divide, up to
    `PARTS` are summed apart and then as a tree, here and over the devices. -> float32 []"""
    divided = {i: TABLE[axis] for i, axis in enumerate(spec.axes) if TABLE[axis]}
    shape: list[int] = []
    for i, n in enumerate(g.shape):
        parts = math.gcd(n, max(PARTS // total(divided[i]), 1)) if i in divided else 1
        shape += [parts, n // parts]
    order = [2 * i for i in range(g.ndim)] + [2 * i + 1 for i in range(g.ndim)]
    squares = jnp.transpose(rounded(g * g).reshape(shape), order)
    x = o.row_sum(squares.reshape(*squares.shape[: g.ndim], -1))[..., 0]
    for i in reversed(range(g.ndim)):
        while x.shape[-1] > 1:
            x = x[..., 0::2] + x[..., 1::2]
        x = o.all_reduce(x[..., 0], divided.get(i, ()))
    return x


def leaves_of(cfg: ModelConfig, batch_shards: int, mesh: Mesh | None) -> int:
    """Parts of a batch that are summed as a tree: `fast` leaves each device's whole."""
    devices = row_devices(mesh)
    if not ops.of(cfg).ordered:
        return devices
    if batch_shards % devices:
        raise InputError(
            f"train.batch_shards={batch_shards} on {' x '.join(ROWS)} = {devices} devices; "
            "use a multiple"
        )
    return batch_shards


@functools.partial(
    jax.jit,
    static_argnames=("cfg", "tx", "weights", "remat", "mesh", "batch_shards"),
    donate_argnames="state",
)
def train_step(
    state: TrainState,
    batch: dict[str, jax.Array],
    key: jax.Array,
    bias_rate: float,
    clip: float,
    *,
    cfg: ModelConfig,
    tx: optax.GradientTransformation,
    weights: Weights,
    remat: bool,
    batch_shards: int = 1,
    mesh: Mesh | None = None,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One update. `key` is the run's; the step is folded in here. A step whose loss or
    gradient is not finite changes nothing and says so in `finite`.

    batch_shards: parts that gradients are summed over as a tree in invariant numerics, so
    that meshes whose devices along `ROWS` divide it give the same bits.
    """
    leaves = leaves_of(cfg, batch_shards, mesh)
    key = jax.random.fold_in(key, state.step)
    grads, metrics, norm = batch_gradients(
        state.params, batch, key, cfg, weights, leaves, remat, mesh
    )
    finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(norm)
    small = rounded(jnp.where(norm > clip, clip / norm, 1.0))
    grads = jax.tree.map(lambda g: rounded(g * small), grads)
    updates, opt = tx.update(grads, state.opt, state.params)
    params = optax.apply_updates(state.params, updates)
    params = _balance(params, cfg, metrics["load"], bias_rate)
    keep = lambda new, old: jnp.where(finite, new, old)  # noqa: E731
    params = jax.tree.map(keep, params, state.params)
    opt = jax.tree.map(keep, opt, state.opt)
    metrics |= {"grad_norm": norm, "finite": finite}
    new = TrainState(state.step + 1, params, opt)
    return kept(mesh, new, partitions(new, cfg, mesh) if mesh else None), metrics
