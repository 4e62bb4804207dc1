"""Collectives of programs compiled for TPUs that are not here: what, where, how much."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from interaction import pod
from interaction.chips import CHIPS
from interaction.planning.traffic import traffic

SIZES = {"fsdp": 16, "expert": 4}
CHIP = CHIPS["v5p"]
WORD = 4


@pytest.fixture(scope="module")
def mesh():
    return pod.pod_mesh("v5p:4x4x4", SIZES)


def sent(mesh, f, shape=(64, 8, 128), loops=1):
    """Of f on every device's part [1, ...] of an array over all devices."""
    every = PartitionSpec(("data", "expert", "fsdp", "tensor"))

    def run(x):
        return lax.fori_loop(0, loops, lambda _, y: f(y), x)

    run = jax.shard_map(run, mesh=mesh, in_specs=every, out_specs=every, check_vma=False)
    at = NamedSharding(mesh, every)
    given = jax.ShapeDtypeStruct(shape, jnp.float32, sharding=at)
    return traffic(jax.jit(run).lower(given).compile().as_text(), mesh, CHIP)


def test_a_gather_over_two_dimensions_of_the_torus(mesh):
    def f(x):
        return lax.all_gather(x, "fsdp", tiled=True).sum(0, keepdims=True) + x

    (one,) = sent(mesh, f)
    assert (one.kind, one.axis, one.runs) == ("all-gather", "fsdp", 1)
    received = 15 * 8 * 128 * WORD
    assert one.bytes == received
    assert one.seconds == pytest.approx(received / (4 * CHIP.ici))  # two rings, both ways


def test_a_sum_that_is_scattered_is_sent_whole(mesh):
    def f(x):
        mine = lax.psum_scatter(jnp.sin(x), "fsdp", scatter_dimension=2, tiled=True)
        return x + mine.sum()

    one = next(s for s in sent(mesh, f, (64, 8, 2048)) if s.kind == "reduce-scatter")
    received = 15 / 16 * 8 * 2048 * WORD
    assert one.axis == "fsdp"
    assert one.bytes == pytest.approx(received)
    assert one.seconds == pytest.approx(received / (4 * CHIP.ici))


def test_loops_are_counted(mesh):
    def f(x):
        return lax.ppermute(jnp.sin(x), "expert", [(i, i ^ 1) for i in range(4)])

    (one,) = sent(mesh, f, loops=7)
    assert (one.kind, one.axis, one.runs) == ("collective-permute", "expert", 7)
    assert one.bytes == 7 * 8 * 128 * WORD
    assert one.seconds == pytest.approx(one.bytes / CHIP.ici)


def test_a_permute_across_the_ring_takes_both_hops(mesh):
    def f(x):
        return lax.ppermute(jnp.sin(x), "expert", [(i, i ^ 2) for i in range(4)])

    (one,) = sent(mesh, f)
    assert one.seconds == pytest.approx(2 * one.bytes / CHIP.ici)


def test_an_exchange_on_one_ring(mesh):
    def f(x):
        return lax.all_to_all(jnp.sin(x), "expert", 1, 1, tiled=True)

    (one,) = sent(mesh, f)
    assert (one.kind, one.axis) == ("all-to-all", "expert")
    size = 8 * 128 * WORD
    assert one.bytes == size * 3 / 4
    assert one.seconds == pytest.approx(size * 4 / 8 / CHIP.ici)


def test_slices_talk_over_the_data_center_network():
    mesh = pod.pod_mesh("v5p:2x2x1", {"data": 2, "fsdp": 4}, slices=2)

    def f(x):
        return lax.psum(jnp.sin(x), "data")

    (one,) = sent(mesh, f, shape=(8, 8, 128))
    assert one.axis == "data"
    assert one.seconds == pytest.approx(one.bytes / CHIP.dcn)
