"""Bitwise parity as data: `run` yields one `Row` a comparison. See `__main__`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from interaction.config import ModelConfig
from interaction.parallel.mesh import make_mesh
from interaction.parity.bits import Row, compare
from interaction.parity.forced import Batch, in_blocks, stages, valid
from interaction.parity.sampled import converse, emitted, records
from interaction.parity.subject import Subject, Talk, random_subject, random_talk
from interaction.parity.training import gradients
from interaction.record import Record
from interaction.score import score, side_by_side

__all__ = ["LEVELS", "Row", "Subject", "meshes", "random_subject", "run"]

LEVELS = ("L0", "L1", "L2", "L3", "L4")
DEVICES = 8


def meshes(cfg: ModelConfig, devices: int = DEVICES) -> list[dict[str, int]]:
    """Every axis at every power of two that the config divides, and three mixed."""
    tensor = np.gcd.reduce([
        cfg.heads, cfg.kv_heads, cfg.local_heads, cfg.local_kv_heads, cfg.tensor_shards,
        cfg.vocab, cfg.experts,
    ])  # fmt: skip
    most = {"data": devices, "fsdp": np.gcd(cfg.width, devices), "tensor": tensor,
            "expert": np.gcd(cfg.experts, devices)}  # fmt: skip
    sizes = [2**i for i in range(1, devices.bit_length())]
    single = [{axis: n} for axis, limit in most.items() for n in sizes if n <= limit]
    t = min(int(tensor), 2)
    e = int(min(np.gcd(cfg.experts, devices) // t, 2))
    mixed = [
        {"fsdp": devices // (t * e), "tensor": t, "expert": e},
        {"data": 2, "fsdp": 2, "expert": int(min(most["expert"], 2))},
        {"data": devices // t, "tensor": t},
    ]
    return single + [m for m in mixed if np.prod(list(m.values())) <= devices]


def _title(sizes: Mapping[str, int]) -> str:
    return " ".join(f"{axis}={n}" for axis, n in sizes.items() if n > 1)


def _mesh(sizes: Mapping[str, int]) -> Mesh:
    n = int(np.prod(list(sizes.values())))
    return make_mesh(**sizes, devices=jax.devices()[:n])


def run(
    subject: Subject,
    levels: Sequence[str] = LEVELS[:4],
    slots: int = DEVICES,
    turns: int = 48,
    on: Sequence[Mapping[str, int]] | None = None,
) -> Iterator[Row]:
    """The comparisons, one after another, as data. on: the meshes of L3."""
    cfg, talk = subject.cfg, random_talk(subject.cfg, slots, turns)
    out = converse(subject, talk)
    want = emitted(out)
    told = records(cfg, talk, out)
    batch = Batch(*side_by_side(told, 1))
    lengths = [int(r.block.n_valid[0]) for r in told]
    forced = valid(stages(subject, batch), batch, lengths)

    if "L0" in levels:
        yield compare("L0", "again", want, emitted(converse(subject, talk)))
    for order in ([0], [slots // 2], list(range(slots))[::-1]) if "L1" in levels else ():
        part = Talk([[t[s] for s in order] for t in talk.turns], talk.seeds[order])
        what = "all, slots reversed" if len(order) > 1 else f"session {order[0]} alone"
        yield compare("L1", what, emitted(out, order), emitted(converse(subject, part)))
    if "L2" in levels:
        yield _scored("L2", "one forward", subject, told, None)
        longest = max(lengths)
        for width in (1, 5, 16):
            block = batch.block._replace(n_valid=batch.block.n_valid)
            if width == 1:  # slow: a part of it is enough
                block = block._replace(n_valid=np.minimum(block.n_valid, longest // 4))
            ends = list(map(int, block.n_valid))
            got = valid(in_blocks(subject, block, width, width), batch, ends)
            full = stages(subject, batch)
            yield compare("L2", f"blocks of {width}", valid(full, batch, ends), got)
    for sizes in (on if on is not None else meshes(cfg)) if "L3" in levels else ():
        mesh = _mesh(sizes)
        got = emitted(converse(subject, talk, mesh))
        yield compare("L3", f"sampled, {_title(sizes)}", want, got)
        got = valid(stages(subject, batch, mesh), batch, lengths)
        yield compare("L3", f"forced, {_title(sizes)}", forced, got)
        if set(sizes) <= {"data", "fsdp"}:
            grads = gradients(subject, batch, None, slots)
            got = gradients(subject, batch, mesh, slots)
            yield compare("L3", f"training step, {_title(sizes)}", grads, got)


def _scored(level: str, what: str, subject: Subject, told: list[Record], mesh) -> Row:
    found = score(subject.params, subject.cfg, told, mesh)
    join = lambda parts: np.concatenate([np.asarray(p).reshape(-1) for p in parts])  # noqa: E731
    chosen = [~np.isnan(r.logp) for r in told]
    want = {
        "log-probabilities": join(r.logp[c] for r, c in zip(told, chosen, strict=True)),
        "voice patches": join(r.block.voice for r in told),
    }
    got = {
        "log-probabilities": join(s.logp[c] for s, c in zip(found, chosen, strict=True)),
        "voice patches": join(s.patches for s in found),
    }
    return compare(level, what, want, got)
