"""Bitwise parity as data: `run` yields one `Row` a comparison, `tell` sessions to compare
in other ways, `bisect.bisect` what differs between two settings. See `__main__`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from interaction.config import ModelConfig
from interaction.parallel.mesh import first_devices, title
from interaction.parity.bits import Found, Row, compare
from interaction.parity.forced import in_blocks, stages, valid
from interaction.parity.sampled import converse, emitted, records
from interaction.parity.subject import Subject, Talk, random_subject, random_talk
from interaction.parity.training import gradients
from interaction.record import Record
from interaction.score import Batch, score, side_by_side

__all__ = [
    "LEVELS",
    "Row",
    "Subject",
    "Told",
    "meshes",
    "mixed_mesh",
    "random_subject",
    "run",
    "tell",
]

LEVELS = ("L0", "L1", "L2", "L3", "L4")
DEVICES = 8


def meshes(cfg: ModelConfig, devices: int = DEVICES) -> list[dict[str, int]]:
    """Every axis at every power of two that the config divides, and three mixed."""
    most = {
        "data": devices, "fsdp": math.gcd(cfg.width, devices),
        "tensor": _most_tensor(cfg), "expert": math.gcd(cfg.experts, devices),
    }  # fmt: skip
    sizes = [2**i for i in range(1, devices.bit_length())]
    single = [{axis: n} for axis, limit in most.items() for n in sizes if n <= limit]
    t = min(most["tensor"], 2)
    mixed = [
        {"data": 2, "fsdp": 2, "expert": min(most["expert"], 2)},
        {"data": devices // t, "tensor": t},
    ]
    fit = [m for m in mixed if math.prod(m.values()) <= devices]
    return [*single, mixed_mesh(cfg, devices), *fit]


def mixed_mesh(cfg: ModelConfig, devices: int = DEVICES) -> dict[str, int]:
    """All devices, over every axis but `data`."""
    t = min(_most_tensor(cfg), 2)
    e = min(math.gcd(cfg.experts, devices) // t, 2)
    return {"fsdp": devices // (t * e), "tensor": t, "expert": e}


def _most_tensor(cfg: ModelConfig) -> int:
    return math.gcd(
        cfg.heads, cfg.kv_heads, cfg.local_heads, cfg.local_kv_heads, cfg.tensor_shards,
        cfg.vocab, cfg.experts,
    )  # fmt: skip


class Told(NamedTuple):
    """Sessions that ran: their talk, what they emitted, and their records, as they are
    and side by side."""

    talk: Talk
    emitted: Found
    records: list[Record]
    batch: Batch


def tell(subject: Subject, slots: int, turns: int) -> Told:
    """Run sessions of different ages through the micro-turn."""
    talk = random_talk(subject.cfg, slots, turns)
    out = converse(subject, talk)
    found = records(subject.cfg, talk, out)
    return Told(talk, emitted(out), found, side_by_side(found))


def run(
    subject: Subject,
    levels: Sequence[str] = LEVELS[:4],
    slots: int = DEVICES,
    turns: int = 48,
    on: Sequence[Mapping[str, int]] | None = None,
) -> Iterator[Row]:
    """The comparisons, one after another, as data. on: the meshes of L3."""
    told = tell(subject, slots, turns)
    if "L0" in levels:
        again = emitted(converse(subject, told.talk))
        yield compare("L0", "again", told.emitted, again)
    if "L1" in levels:
        yield from _batches(subject, told)
    if not {"L2", "L3"} & set(levels):
        return
    forced = stages(subject, told.batch)
    if "L2" in levels:
        yield _scored(subject, told.records)
        yield from _blocks(subject, told, forced)
    if "L3" in levels:
        yield from _meshes(subject, told, forced, meshes(subject.cfg) if on is None else on)


def _batches(subject: Subject, told: Told) -> Iterator[Row]:
    slots = len(told.talk.seeds)
    for order in ([0], [slots // 2], list(range(slots))[::-1]):
        turns = [[turn[s] for s in order] for turn in told.talk.turns]
        got = emitted(converse(subject, Talk(turns, told.talk.seeds[order])))
        what = "all, slots reversed" if len(order) > 1 else f"session {order[0]} alone"
        want = {name: x[:, order] for name, x in told.emitted.items()}
        yield compare("L1", what, want, got)


def _blocks(subject: Subject, told: Told, forced: Found) -> Iterator[Row]:
    lengths = told.batch.block.n_valid
    for width in (1, 5, 16):
        # One position at a time is slow: a part of it is enough.
        ends = np.minimum(lengths, lengths.max() // 4) if width == 1 else lengths
        block = told.batch.block._replace(n_valid=ends)
        got = valid(in_blocks(subject, block, width, width), told.batch, ends)
        want = valid(forced, told.batch, ends)
        yield compare("L2", f"blocks of {width}", want, got)


def _meshes(
    subject: Subject, told: Told, forced: Found, on: Sequence[Mapping[str, int]]
) -> Iterator[Row]:
    slots, trained = len(told.talk.seeds), None
    forced = valid(forced, told.batch)
    for sizes in on:
        mesh, name = first_devices(sizes), title(sizes)
        got = emitted(converse(subject, told.talk, mesh))
        yield compare("L3", f"sampled, {name}", told.emitted, got)
        got = valid(stages(subject, told.batch, mesh), told.batch)
        yield compare("L3", f"forced, {name}", forced, got)
        if sizes.keys() <= {"data", "fsdp"}:
            trained = trained or gradients(subject, told.batch, None, slots)
            got = gradients(subject, told.batch, mesh, slots)
            yield compare("L3", f"training step, {name}", trained, got)
        # Nobody runs this mesh's programs again. Each holds thousands of mappings on CPUs,
        # and Linux gives a process 65,530 of them (vm.max_map_count).
        jax.clear_caches()


def _scored(subject: Subject, told: list[Record]) -> Row:
    found = score(subject.params, subject.cfg, told)
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
    return compare("L2", "one forward", want, got)
