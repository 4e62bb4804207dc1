"""Rows sent to the devices that hold their experts, and back: nothing is ever dropped.

A pair is a row and one of its experts. Pairs are sorted by expert; in a round, every
device sends each other one along the mesh axis `expert` its next `room` pairs and gets
their results back, until no device has any left. One round is enough unless some device
is sent more than `SLACK` times its even share. So memory is bounded and shapes are
static, whatever the routing; that there may be more rounds is all that skew costs.

Gradients go the same way: the rows are sent again, with the gradients of their results.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from interaction.ops.groups import sort
from interaction.ops.rows import swiglu
from interaction.ops.sums import tree
from interaction.parallel.collectives import size

if TYPE_CHECKING:
    from interaction.ops import Ops

SLACK = 1.25  # room of a round, over the even share
LEAST = 8  # pairs of a round to one device


class Experts(NamedTuple):
    """This device's weights."""

    gate_XDF: jax.Array
    up_XDF: jax.Array
    down_XFD: jax.Array


def by_expert(
    ops: Ops,
    x_ND: jax.Array,
    row_P: jax.Array,
    number_P: jax.Array,
    weight_P: jax.Array,
    held: Experts,
) -> jax.Array:
    """weight * expert(x[row]) of every pair, in products over the rows of one expert.
    number: of its expert here; as many as there are: of none. -> [P, D] in x's dtype."""
    X = held.gate_XDF.shape[0]
    place, order, sizes = sort(number_P, X)
    dot = lambda x, part: ops.grouped(x, part, sizes)  # noqa: E731
    rows, weight = x_ND[row_P[order]], weight_P[order, None]
    h = swiglu(ops, dot(rows, held.gate_XDF), dot(rows, held.up_XDF), weight, x_ND.dtype)
    out = ops.cast(dot(h, held.down_XFD), x_ND.dtype.name)
    return jnp.where((number_P < X)[:, None], out[place], jnp.zeros_like(out))


class _Plan(NamedTuple):
    """order: pairs, sorted by expert; begin, count [E]: those of each device in it;
    device, place [P]: where a pair is in its device's; mine [P]: whether a device here
    has its expert; rounds []: of the device that needs most."""

    order_P: jax.Array
    begin_E: jax.Array
    count_E: jax.Array
    device_P: jax.Array
    place_P: jax.Array
    mine_P: jax.Array
    rounds: jax.Array


def _room(pairs: int, devices: int) -> int:
    share = -(-pairs // (devices * size("tensor")))
    return max(LEAST, -(-int(share * SLACK) // LEAST) * LEAST)


def _plan(number_P: jax.Array, X: int, devices: int, room: int) -> _Plan:
    mine = (number_P >= 0) & (number_P < X * devices)
    device = jnp.where(mine, number_P // X, devices)
    rank, order, sizes = sort(jnp.where(mine, number_P, X * devices), X * devices)
    count = sizes.reshape(devices, X).sum(1)
    begin = jnp.cumsum(count) - count
    place = rank - begin[jnp.minimum(device, devices - 1)]
    rounds = jax.lax.pmax((count.max() + room - 1) // room, "expert")
    return _Plan(order, begin, count, device, place, mine, rounds)


def _sent(plan: _Plan, round_: jax.Array, room: int) -> tuple[jax.Array, jax.Array]:
    """Pairs of a round, device by device. -> (pair [E * room], whether there is one)."""
    place = round_ * room + jnp.arange(room)
    there = place < plan.count_E[:, None]
    at = jnp.minimum(plan.begin_E[:, None] + place, len(plan.order_P) - 1)
    return plan.order_P[at].reshape(-1), there.reshape(-1)


def _put(
    plan: _Plan, round_: jax.Array, room: int, back: jax.Array, into: jax.Array
) -> jax.Array:
    """Results of a round to their pairs. back [E * room, ...], into [P, ...]."""
    here = plan.mine_P & (plan.place_P // room == round_)
    at = jnp.where(here, plan.device_P * room + plan.place_P % room, 0)
    return jnp.where(here.reshape(-1, *[1] * (into.ndim - 1)), back[at], into)


def _swap(x: jax.Array) -> jax.Array:
    """Each device's part, in order of the devices that have sent them."""
    return jax.lax.all_to_all(x, "expert", 0, 0, tiled=True)


class _Round(NamedTuple):
    """What a device received."""

    x: jax.Array
    number: jax.Array
    weight: jax.Array


def _receive(
    plan: _Plan, pair: jax.Array, there: jax.Array, x_ND: jax.Array, number_P: jax.Array,
    weight_P: jax.Array, X: int,
) -> _Round:  # fmt: skip
    slots = len(number_P) // len(x_ND)
    number = jnp.where(there, number_P[pair] % X, X)
    return _Round(_swap(x_ND[pair // slots]), _swap(number), _swap(weight_P[pair]))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def sent_out(
    ops: Ops, x_ND: jax.Array, chosen_NA: jax.Array, weight_NA: jax.Array, held: Experts
) -> jax.Array:
    """weight * expert(row) of every row and slot. chosen: numbers among the experts of the
    devices along `expert`; others give zero. -> [N, A, D] in x's dtype."""
    (N, A), D, X, E = chosen_NA.shape, x_ND.shape[1], len(held.gate_XDF), size("expert")
    number, weight, room = chosen_NA.reshape(-1), weight_NA.reshape(-1), _room(N * A, E)
    plan = _plan(number, X, E, room)

    def one(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        r, out = state
        pair, there = _sent(plan, r, room)
        got = _receive(plan, pair, there, x_ND, number, weight, X)
        y = by_expert(ops, got.x, jnp.arange(len(pair)), got.number, got.weight, held)
        return r + 1, _put(plan, r, room, _swap(y), out)

    start = (jnp.int32(0), jnp.zeros((N * A, D), x_ND.dtype))
    return jax.lax.while_loop(lambda s: s[0] < plan.rounds, one, start)[1].reshape(N, A, D)


def _forward(ops: Ops, x, chosen, weight, held) -> tuple[jax.Array, tuple]:
    return sent_out(ops, x, chosen, weight, held), (x, chosen, weight, held)


def _backward(ops: Ops, kept: tuple, g_NAD: jax.Array) -> tuple:
    x_ND, chosen_NA, weight_NA, held = kept
    (N, A), D, X, E = chosen_NA.shape, x_ND.shape[1], len(held.gate_XDF), size("expert")
    number, weight, room = chosen_NA.reshape(-1), weight_NA.reshape(-1), _room(N * A, E)
    plan, g = _plan(number, X, E, room), g_NAD.reshape(N * A, D)

    def one(state: tuple[Any, ...]) -> tuple[Any, ...]:
        r, dx, dweight, dheld = state
        pair, there = _sent(plan, r, room)
        got = _receive(plan, pair, there, x_ND, number, weight, X)
        run = lambda x, w, held: by_expert(  # noqa: E731
            ops, x, jnp.arange(len(pair)), got.number, w, held
        )
        pull = jax.vjp(run, got.x, got.weight, held)[1]
        x_back, weight_back, more = pull(_swap(g[pair]))
        dheld = jax.tree.map(lambda t, d: t + d.astype(t.dtype), dheld, more)
        dx = _put(plan, r, room, _swap(x_back), dx)
        return r + 1, dx, _put(plan, r, room, _swap(weight_back), dweight), dheld

    zeros = jax.tree.map(lambda w: jnp.zeros(w.shape, jnp.float32), held)
    start = (jnp.int32(0), jnp.zeros((N * A, D), x_ND.dtype), jnp.zeros_like(weight), zeros)
    _, dx, dweight, dheld = jax.lax.while_loop(lambda s: s[0] < plan.rounds, one, start)
    slots = dx.reshape(N, A, D).astype(jnp.float32)
    dx_ND = ops.cast(tree([slots[:, a] for a in range(A)]), x_ND.dtype.name)
    dheld = jax.tree.map(lambda d, w: d.astype(w.dtype), dheld, held)
    none = np.zeros(chosen_NA.shape, jax.dtypes.float0)
    return dx_ND, none, dweight.reshape(N, A), dheld


sent_out.defvjp(_forward, _backward)
