"""What a micro-turn takes on a slice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interaction import pod
from interaction.chips import chip_of
from interaction.config import ModelConfig
from interaction.grammar import AUDIO_PER_TURN
from interaction.parallel.mesh import row_devices
from interaction.parallel.placement import held_bytes
from interaction.planning.fit import compiled
from interaction.planning.flops import forward_flops
from interaction.planning.roofline import Roofline, roofline
from interaction.planning.traffic import traffic

TURN_S = 0.2
RUNS = {"ingest": 1, "emit": AUDIO_PER_TURN + 3}
"""Forwards of each program: `emit` makes a frame that speaks, of two tokens of text."""


def plan_serving(
    cfg: ModelConfig, topology: str, slices: int, sizes: Mapping[str, int], slots: int
) -> dict[str, Any]:
    """The report of one mesh and one number of sessions; `fits` says whether the rest of
    it is there."""
    chip, mesh = chip_of(topology), pod.pod_mesh(topology, sizes, slices)
    given = pod.describe_turn(cfg, mesh, slots)
    held = {
        "parameters": held_bytes(given.params),
        "cache": held_bytes(given.state.cache),
        "rest of the sessions": held_bytes(given.state[1:]),
    }
    budget = chip.hbm_bytes / chip.devices
    found = {"held_bytes": held, "budget_bytes": budget}
    need: float = sum(held.values())
    if need > budget:
        return found | {"fits": False, "needs_bytes": need}
    make = lambda how: pod.compile_turn(cfg, mesh, slots, given, how)  # noqa: E731
    made = compiled(make)
    if not isinstance(made, tuple):
        return found | {"fits": False, "needs_bytes": made}
    programs, memory = made
    lines, links = {}, {}
    for name, program in programs.items():
        # `emit` decides by itself how often its loop runs.
        sent = traffic(program.as_text() or "", mesh, chip, RUNS[name])
        links[name] = [one._asdict() for one in sent]
        lines[name] = roofline(
            chip,
            _flops(cfg, name, slots) / mesh.size * chip.devices,
            _touched(cfg, name, held, slots, mesh),
            sent,
        )
    return found | {
        "fits": True,
        "needs_bytes": max(m.needed for m in memory.values()),
        "memory_bytes": {name: m._asdict() for name, m in memory.items()},
        "sent": links,
        "roofline": {n: x._asdict() | {"limit": x.limit()} for n, x in lines.items()},
        "projected": _projected(lines, slots),
    }


def _projected(lines: Mapping[str, Roofline], slots: int) -> dict[str, Any]:
    """Nothing side by side: each position of a frame waits for the one before."""
    turn = sum(line.apart_s for line in lines.values())
    return {
        "micro_turn_s": turn,
        "realtime_factor": turn / TURN_S,
        "sessions": slots,
        "keeps_the_clock": turn < TURN_S,
    }


def _flops(cfg: ModelConfig, program: str, slots: int) -> float:
    """Of all chips, with the cache full."""
    before = cfg.horizon
    if program == "ingest":
        made = {"audio": AUDIO_PER_TURN, "patches": cfg.patches_per_frame}
        parts = forward_flops(cfg, cfg.max_ingest, slots, logits=0, before=before, **made)
        return sum(parts.values())
    steps = cfg.flow_steps * (1 if cfg.flow_guidance == 1 else 2) * AUDIO_PER_TURN
    parts = forward_flops(
        cfg, RUNS[program], slots, voice=AUDIO_PER_TURN, flow=steps, before=before
    )
    return sum(parts.values())


def _touched(
    cfg: ModelConfig, program: str, held: Mapping[str, int], slots: int, mesh: Any
) -> float:
    """Bytes of memory that a chip reads. A forward reads the weights that its positions
    use (of the experts: those that are hit, if routing is even) and the cache."""
    rows = slots / row_devices(mesh) * mesh.shape["expert"]
    positions = cfg.max_ingest if program == "ingest" else 1
    misses = (1 - cfg.experts_per_token / cfg.experts) ** (rows * positions)
    experts = (
        3
        * cfg.width
        * cfg.expert_width
        * cfg.experts
        * 2
        * sum(not kind.is_dense for kind in cfg.layer_kinds)
    )
    experts /= mesh.shape["expert"] * mesh.shape["tensor"]
    weights = held["parameters"] - experts * misses
    return RUNS[program] * (weights + held["cache"])
