"""Array operations under the layers, in two numeric modes with one face.

`fast` leaves every order of summation to XLA. `invariant` fixes it: a row's result has
the same bits whatever rows, blocks, splits or devices are beside it. `of(cfg)` is the one
place that chooses.
"""

from __future__ import annotations

from typing import Protocol

import jax

from interaction.config import ModelConfig
from interaction.ops import fast, invariant
from interaction.parallel.collectives import Axes


class Ops(Protocol):
    """What a mode defines. Products are [..., M, K] @ [..., K, N] with the same leading
    axes; `turned`: the right side is [..., N, K]; `grouped`: rows [M, K] sorted by group,
    each @ its own of [X, K, N], `sizes` rows of each."""

    ordered: bool  # whether sums are in a written order

    def product(self, x: jax.Array, w: jax.Array) -> jax.Array: ...
    def product_turned(self, x: jax.Array, w: jax.Array) -> jax.Array: ...
    def grouped(self, x: jax.Array, w: jax.Array, sizes: jax.Array) -> jax.Array: ...
    def row_sum(self, x: jax.Array) -> jax.Array: ...
    def row_max(self, x: jax.Array) -> jax.Array: ...
    def cast(self, x: jax.Array, dtype: str) -> jax.Array: ...
    def split(self, kv_split: int, keys: int) -> int: ...
    def parts(self, shards: int, devices: int) -> int: ...
    def all_reduce(self, x: jax.Array, axes: Axes) -> jax.Array: ...
    def reduce_scatter(self, x: jax.Array, axis: str, dim: int) -> jax.Array: ...


def of(cfg: ModelConfig) -> Ops:
    return invariant if cfg.numerics == "invariant" else fast  # type: ignore[return-value]
