"""What a training step takes on a pod."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jax.sharding import Mesh

from interaction import pod
from interaction.chips import Chip, chip_of
from interaction.config import ModelConfig
from interaction.grammar import AUDIO_PER_TURN
from interaction.parallel.mesh import row_devices
from interaction.parallel.placement import held_bytes
from interaction.planning.activations import activations
from interaction.planning.fit import Programs, compiled
from interaction.planning.flops import forward_flops, muon_flops, training_flops
from interaction.planning.roofline import Roofline, roofline
from interaction.planning.traffic import Sent, traffic
from interaction.train import average

TOUCHES = 60
"""Reads and writes of a position's width in one layer, forward and backward, in bfloat16:
norms, convolutions, projections, expert rows, and the same again in between. A round
estimate; compute bounds it several times over."""

AVERAGE = "average of parameters"


def plan_training(
    config: Any, cfg: ModelConfig, topology: str, slices: int, sizes: Mapping[str, int]
) -> dict[str, Any]:
    """The report of one mesh; `fits` says whether the rest of it is there."""
    chip, mesh = chip_of(topology), pod.pod_mesh(topology, sizes, slices)
    given = pod.describe_training(config, cfg, mesh)
    held = held_in_training(config, given)
    budget = chip.hbm_bytes / chip.devices
    found = {"held_bytes": held, "budget_bytes": budget}
    need: float = sum(held.values())
    if need > budget:
        return found | {"fits": False, "needs_bytes": need}

    def make(how: dict[str, Any]) -> Programs:
        return {"train": pod.compile_training(config, cfg, mesh, given, how)}

    made = compiled(make)
    # The average lies beside the step's program, which does not know of it.
    beside = held.get(AVERAGE, 0)
    took = beside + (made[1]["train"].needed if isinstance(made, tuple) else made)
    if not isinstance(made, tuple) or took > budget:
        fewer = fewer_rows(config.train.batch, row_devices(mesh), need, took, budget)
        told = {"fits": False, "needs_bytes": took, "refused": True}
        return found | told | {"batch_that_may": fewer}
    program, memory = made[0]["train"], made[1]["train"]
    sent = traffic(program.as_text() or "", mesh, chip)
    return found | {
        "fits": True,
        "needs_bytes": took,
        "memory_bytes": memory._asdict(),
        "activations_bytes": activations(config, cfg, mesh),
        "sent": [one._asdict() for one in sent],
    } | counted(config, cfg, chip, mesh, held, sent)  # fmt: skip


def held_in_training(config: Any, given: pod.Training) -> dict[str, int]:
    """Bytes of a chip that lie there all the while, by part."""
    held = {
        "parameters": held_bytes(given.state.params),
        "optimiser": held_bytes(given.state.opt),
        "batch": held_bytes(given.rows),
    }
    if average.decay(config.train):
        held[AVERAGE] = held_bytes(average.described(given.state.params))
    return held


def counted(
    config: Any,
    cfg: ModelConfig,
    chip: Chip,
    mesh: Mesh,
    held: Mapping[str, int],
    sent: Sequence[Sent],
) -> dict[str, Any]:
    """What a report says that takes no compiler, from what one found (`sent`)."""
    flops = step_flops(config, cfg, mesh.shape)
    line = roofline(
        chip,
        flops["done"] / mesh.size * chip.devices,
        _touched(config, cfg, held, mesh),
        sent,
    )
    return {
        "flops": flops,
        "roofline": line._asdict(),
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
    weights += 2 * held.get(AVERAGE, 0)
    rows = config.train.batch / row_devices(mesh)
    positions = rows * config.data.positions / sizes["tensor"]
    return weights + positions * cfg.layers * cfg.width * 2 * TOUCHES


def projected(
    config: Any, chip: Chip, line: Roofline, needed: float, devices: int
) -> dict[str, Any]:
    """Without any overlap of compute and links, and with all of it: each with the longest
    of what it takes, and the share of the step that this is."""
    positions = config.train.batch * config.data.positions
    chips, limit = devices / chip.devices, line.limit()
    out = {}
    for name, seconds in (("apart", line.apart_s), ("together", line.together_s)):
        out[name] = {
            "step_s": seconds,
            "limit": limit,
            "limit_share": line.terms()[limit] / seconds,
            "positions_per_s_per_chip": positions / seconds / chips,
            "mfu": needed / seconds / chips / chip.flops,
        }
    return out
