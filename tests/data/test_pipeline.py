"""The stream of batches: order does not depend on workers, and resumes exactly."""

from __future__ import annotations

import numpy as np
import pytest

from interaction.data.pack import Shape
from interaction.data.pipeline import MakeRow, batches
from interaction.package import ASSETS

TOKENIZER = str(ASSETS / "nano" / "tokenizer.json")


@pytest.fixture(scope="module")
def make(tiny) -> MakeRow:
    return MakeRow(tiny, Shape(128, 4, 40), TOKENIZER, seed=3, turns=16)


def take(iterator, n: int) -> list[dict]:
    return [next(iterator) for _ in range(n)]


def same(a: list[dict], b: list[dict]) -> bool:
    pairs = zip(a, b, strict=True)
    return all((x[name] == y[name]).all() for x, y in pairs for name in x)


@pytest.fixture(scope="module")
def in_process(make) -> list[dict]:
    return take(iter(batches(make, 3, workers=0)), 5)


@pytest.mark.parametrize("workers", [1, 3])
def test_order_is_the_same_for_any_number_of_workers(make, in_process, workers):
    assert same(take(iter(batches(make, 3, workers)), 5), in_process)
    assert not same(in_process[:1], in_process[1:2])


@pytest.mark.parametrize("workers", [0, 2])
def test_goes_on_at_any_row(make, in_process, workers):
    resumed = iter(batches(make, 3, workers, first=6))
    assert same(take(resumed, 3), in_process[2:])


@pytest.mark.parametrize(("shares", "workers"), [(((0,), (1, 2)), 0), (((0, 2), (1,)), 2)])
def test_hosts_make_their_places_of_the_same_batches(make, in_process, shares, workers):
    """Whatever the number of hosts, a place of a batch holds the same row."""
    for mine in shares:
        own = take(iter(batches(make, 3, workers, mine=mine)), 3)
        for batch, whole in zip(own, in_process, strict=False):
            want = {name: x[list(mine)] for name, x in whole.items()}
            assert same([batch], [want])


def test_rows_carry_their_numbers(make):
    found = take(iter(batches(make, 2, workers=0, first=2**40, mine=(1,))), 2)
    assert [batch["row"].tolist() for batch in found] == [[2**40 + 1], [2**40 + 3]]


def test_rows_have_static_shapes(in_process):
    shapes = [{name: np.shape(x) for name, x in batch.items()} for batch in in_process]
    assert all(s == shapes[0] for s in shapes)
