"""What a training step keeps of its forward pass for the backward pass, on one chip.

Not the compiler's figure, which tells no temporary from another. It is counted from what
JAX's own differentiation hands from one pass to the other: traced, never run. The heads are
left out: they keep little beside the layers. A compiler may lay an array out larger, or
make one again instead of keeping it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh

from interaction import model
from interaction.blocks import Block
from interaction.config import ModelConfig
from interaction.parallel.mesh import row_devices
from interaction.parallel.placement import BY_ROW, EVERYWHERE, held_bytes, of_params, over
from interaction.params import Params, abstract
from interaction.pod import describe_rows
from interaction.train.losses import to_block
from interaction.train.state import leaves_of


def activations(config: Any, cfg: ModelConfig, mesh: Mesh) -> dict[str, int]:
    """Bytes of a chip, by part. Rows that it computes one after the other (the parts of a
    batch in invariant numerics) are kept one part at a time."""
    rows = config.train.batch // leaves_of(cfg, config.train.batch_shards, mesh)
    remat = config.train.remat

    def embeddings(params: Params, block: Block) -> jax.Array:
        return model.embed_block(model.cast(params, cfg), cfg, block)

    def forward(params: Params, block: Block) -> jax.Array:
        return model.forward(params, cfg, block, remat=remat).hidden

    embedded, whole = (_kept(f, config, cfg, mesh, rows) for f in (embeddings, forward))
    return {"embeddings": embedded, "layers": whole - embedded}


def _kept(
    f: Callable[[Params, Block], Any], config: Any, cfg: ModelConfig, mesh: Mesh, rows: int
) -> int:
    """Bytes that f's derivative keeps of so many rows of a device: what twice as many keep
    more. So parameters, which it keeps too, do not count."""
    names = {name: x for name, x in model.specs(cfg).items() if name in model.TRUNK}
    at = {name: x for name, x in of_params(cfg, mesh).items() if name in model.TRUNK}

    def keeps(params: Params, block: Block) -> list[jax.Array]:
        run = lambda params: f(model.whole(params, cfg), block)  # noqa: E731
        return jax.tree.leaves(jax.vjp(run, params)[1])

    run = over(mesh, keeps, (at, BY_ROW), EVERYWHERE)
    once, twice = (
        held_bytes(jax.eval_shape(run, abstract(names), _block(config, cfg, n)))
        for n in (rows * row_devices(mesh), 2 * rows * row_devices(mesh))
    )
    return twice - once


def _block(config: Any, cfg: ModelConfig, rows: int) -> Block:
    batch: dict[str, Any] = describe_rows(config, cfg, rows)
    return to_block(batch, batch["voice"])
