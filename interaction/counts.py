"""Parameters of a model by part: how many there are, how many a position uses."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax

from interaction import model
from interaction.config import ModelConfig
from interaction.params import is_spec


class Part(NamedTuple):
    name: str
    total: int
    active: int


_PARTS = (
    ("control rows", ("controls']",)),
    ("token embedding", ("['embed']['tokens']",)),
    ("audio bag", ("['embed']['audio",)),
    ("hMLP", ("['embed']['hmlp']",)),
    ("own voice", ("['embed']['voice",)),
    ("attention", ("['attn']",)),
    ("router", ("['mlp']['router",)),
    ("shared experts", ("['mlp']['shared",)),
    ("routed experts", ("['mlp']",)),
    ("dense feed-forward", ()),
    ("norms and branch convolutions", ("['layers']", "['norm']", "tokens_norm")),
    ("unembedding", ("['unembed']",)),
    ("flow head", ("['flow']",)),
    ("heard head", ("['heard",)),
)


OURS = ("control rows", "own voice", "flow head", "heard head")
"""What an interaction model has beyond Inkling."""


def parts(cfg: ModelConfig) -> list[Part]:
    """Every parameter in exactly one part; `active` counts the experts a position
    chooses and everything else."""
    totals = {name: [0, 0] for name, _ in _PARTS}
    specs = model.specs(cfg)
    for path, spec in jax.tree_util.tree_leaves_with_path(specs, is_leaf=is_spec):
        key = jax.tree_util.keystr(path)
        size = math.prod(spec.shape)
        part = next(name for name, marks in _PARTS if any(m in key for m in marks))
        if part == "routed experts" and "expert" not in spec.axes:
            part = "dense feed-forward"
        routed = part == "routed experts"
        share = cfg.experts_per_token / cfg.experts if routed else 1
        totals[part][0] += size
        totals[part][1] += round(size * share)
    return [Part(name, total, active) for name, (total, active) in totals.items()]


def table(cfg: ModelConfig) -> str:
    rows = parts(cfg)
    backbone = [row for row in rows if row.name not in OURS]
    sums = [
        Part(name, sum(r.total for r in some), sum(r.active for r in some))
        for name, some in (("Inkling backbone", backbone), ("TOTAL", rows))
    ]
    lines = [f"{'part':32}{'total':>20}{'active a position':>22}"]
    lines += [f"{r.name:32}{r.total:>20,}{r.active:>22,}" for r in rows + sums if r.total]
    return "\n".join(lines)
