"""What a training step takes on a pod."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interaction import pod
from interaction.chips import Chip, chip_of
from interaction.config import ModelConfig
from interaction.grammar import AUDIO_PER_TURN
from interaction.parallel.mesh import row_devices
from interaction.parallel.placement import held_bytes
from interaction.planning.fit import Programs, compiled
from interaction.planning.flops import forward_flops, muon_flops, training_flops
from interaction.planning.roofline import Roofline, roofline
from interaction.planning.traffic import Sent, traffic

TOUCHES = 60
"""Reads and writes of a position's width in one layer, forward and backward, in bfloat16:
norms, convolutions, projections, expert rows, and the same again in between. A round
estimate; compute bounds it several times over."""


def plan_training(
    config: Any, cfg: ModelConfig, topology: str, slices: int, sizes: Mapping[str, int]
) -> dict[str, Any]:
    """The report of one mesh; `fits` says whether the rest of it is there."""
    chip, mesh = chip_of(topology), pod.pod_mesh(topology, sizes, slices)
    given = pod.describe_training(config, cfg, mesh)
    held = {
        "parameters": held_bytes(given.state.params),
        "optimiser": held_bytes(given.state.opt),
        "batch": held_bytes(given.rows),
    }
    budget = chip.hbm_bytes / chip.devices
    found = {"held_bytes": held, "budget_bytes": budget}
    need: float = sum(held.values())
    if need > budget:
        return found | {"fits": False, "needs_bytes": need}

    def make(how: dict[str, Any]) -> Programs:
        return {"train": pod.compile_training(config, cfg, mesh, given, how)}

    made = compiled(make)
    if not isinstance(made, tuple):
        fewer = fewer_rows(config.train.batch, row_devices(mesh), need, made, budget)
        return found | {"fits": False, "needs_bytes": made, "batch_that_may": fewer}
    program, memory = made[0]["train"], made[1]["train"]
    sent = traffic(program.as_text() or "", mesh, chip)
    flops = step_flops(config, cfg, mesh.shape)
    line = roofline(
        chip,
        flops["done"] / mesh.size * chip.devices,
        _touched(config, cfg, held, mesh),
        sent,
    )
    return found | {
        "fits": True,
        "needs_bytes": memory.needed,
        "memory_bytes": memory._asdict(),
        "flops": flops,
        "sent": [one._asdict() for one in sent],
        "roofline": line._asdict() | {"limit": line.limit()},
        "projected": projected(config, chip, line, flops["needed"], mesh.size),
    }


def fewer_rows(
    batch: int, devices: int, held: float, need: float, budget: float
) -> int | None:
    """The largest half, quarter, ... of a batch whose share of a step's temporaries has
    room beside what is held; None where `devices` would not have a row each."""
    while batch % 2 == 0 and batch // 2 >= devices:
        batch //= 2
        need = held + (need - held) / 2
        if need <= budget:
            return batch
    return None


def step_flops(config: Any, cfg: ModelConfig, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Of the whole step on all chips: what the model needs, what the program does, and the
    forward pass by part."""
    d, t = config.data, config.train
    heard = d.turns * AUDIO_PER_TURN
    made_of = {
        "audio": heard,
        "patches": d.patches,
        "voice": d.audio_out,
        "logits": d.positions + heard,
        "flow": t.flow_rows * t.flow_draws // t.batch,
    }
    needed, done = training_flops(cfg, d.positions, t.batch, t.remat, **made_of)
    if t.get("muon"):
        done += muon_flops(cfg, sizes)
    parts = forward_flops(cfg, d.positions, t.batch, **made_of)
    return {"needed": needed, "done": done, "forward": parts}


def _touched(config: Any, cfg: ModelConfig, held: Mapping[str, int], mesh: Any) -> float:
    """Bytes of memory that a chip reads and writes in a step."""
    sizes = mesh.shape
    # The optimiser reads and writes everything; gathered weights are written and read in
    # both passes, their gradients once.
    weights = 3 * (held["parameters"] + held["optimiser"])
    weights += 6 * held["parameters"] / 2 * sizes["fsdp"]
    rows = config.train.batch / row_devices(mesh)
    positions = rows * config.data.positions / sizes["tensor"]
    return weights + positions * cfg.layers * cfg.width * 2 * TOUCHES


def projected(
    config: Any, chip: Chip, line: Roofline, needed: float, devices: int
) -> dict[str, Any]:
    """Without any overlap of compute and links, and with all of it."""
    positions = config.train.batch * config.data.positions
    chips = devices / chip.devices
    out = {}
    for name, seconds in (("apart", line.apart_s), ("together", line.together_s)):
        out[name] = {
            "step_s": seconds,
            "positions_per_s_per_chip": positions / seconds / chips,
            "mfu": needed / seconds / chips / chip.flops,
        }
    return out


def nearest(kind: str, need: float, chip: Chip) -> str | None:
    """The smallest usual slice of this kind whose memory is twice what is held (the rest
    of a step wants room too); None when there is none."""
    for shape, chips in SLICES[kind]:
        if chips * chip.hbm_bytes >= 2 * need:
            return f"{kind}:{shape}"
    return None


_FLAT = (("2x2", 4), ("2x4", 8), ("4x4", 16), ("4x8", 32), ("8x8", 64), ("8x16", 128),
         ("16x16", 256))  # fmt: skip
_CUBES = (("2x2x1", 4), ("2x2x2", 8), ("2x2x4", 16), ("2x4x4", 32), ("4x4x4", 64),
          ("4x4x8", 128), ("4x8x8", 256), ("8x8x8", 512), ("8x8x16", 1024),
          ("8x16x16", 2048))  # fmt: skip
SLICES = {"v5e": _FLAT, "v6e": _FLAT, "v5p": _CUBES, "tpu7x": _CUBES}
"""Slices that the makers offer, with their chips, smallest first."""


__all__ = ["Sent", "nearest", "plan_training", "projected", "step_flops"]
