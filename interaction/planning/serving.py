"""What a micro-turn takes on a slice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jax.sharding import Mesh

from interaction import pod
from interaction.chips import Chip, chip_of
from interaction.config import ModelConfig
from interaction.grammar import AUDIO_PER_TURN
from interaction.parallel.mesh import row_devices
from interaction.parallel.placement import held_bytes
from interaction.planning.fit import compiled
from interaction.planning.flops import forward_flops
from interaction.planning.roofline import Roofline, roofline
from interaction.planning.traffic import Sent, traffic

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
    if sum(held.values()) > budget:
        return found | {"fits": False, "needs_bytes": sum(held.values())}
    make = lambda how: pod.compile_turn(cfg, mesh, slots, given, how)  # noqa: E731
    made = compiled(make)
    if not isinstance(made, tuple):
        return found | {"fits": False, "needs_bytes": made, "refused": True}
    programs, memory = made
    # `emit` decides by itself how often its loop runs.
    sent = {name: traffic(program.as_text() or "", mesh, chip, RUNS[name])
            for name, program in programs.items()}  # fmt: skip
    need = max(m.needed for m in memory.values())
    return found | {
        "fits": True,
        "needs_bytes": need,
        "memory_bytes": {name: m._asdict() for name, m in memory.items()},
        "sent": {name: [one._asdict() for one in all_] for name, all_ in sent.items()},
    } | counted(cfg, chip, mesh, slots, held, need, sent)  # fmt: skip


def counted(
    cfg: ModelConfig,
    chip: Chip,
    mesh: Mesh,
    slots: int,
    held: Mapping[str, int],
    need: float,
    sent: Mapping[str, Sequence[Sent]],
) -> dict[str, Any]:
    """What a report says that takes no compiler, from what one found (`need`, `sent`) of
    so many sessions."""

    def lines(sessions: int) -> dict[str, Roofline]:
        """All that is sent is of sessions."""
        more = sessions / slots
        at = dict(held) | {"cache": int(held["cache"] * more)}
        return {
            name: roofline(
                chip,
                sum(_flops(cfg, name, sessions).values()) / mesh.size * chip.devices,
                _touched(cfg, name, at, sessions, mesh),
                [one._replace(seconds=one.seconds * more) for one in sent[name]],
            )
            for name in RUNS
        }

    room = chip.hbm_bytes / chip.devices - need
    step = row_devices(mesh)
    here = lines(slots)
    turn, (limit, longest) = _turn_s(here), _limit(here)
    return {
        "flops": {name: _flops(cfg, name, slots) for name in RUNS},
        "roofline": {name: line._asdict() for name, line in here.items()},
        "projected": {
            "sessions": slots,
            "micro_turn_s": turn,
            "limit": limit,
            "limit_share": longest / turn,
            "realtime_factor": turn / TURN_S,
            "keeps_the_clock": turn <= TURN_S,
            "most": _most(held, slots, room, step, lines),
        },
    }


def _turn_s(lines: Mapping[str, Roofline]) -> float:
    """Nothing side by side: each position of a frame waits for the one before."""
    return sum(line.apart_s for line in lines.values())


def _limit(lines: Mapping[str, Roofline]) -> tuple[str, float]:
    """What takes longest of a micro-turn, and its seconds."""
    total: dict[str, float] = {}
    for line in lines.values():
        for name, seconds in line.terms().items():
            total[name] = total.get(name, 0.0) + seconds
    return max(total.items(), key=lambda term: term[1])


def _most(
    held: Mapping[str, int],
    slots: int,
    room: float,
    step: int,
    lines: Callable[[int], Mapping[str, Roofline]],
) -> dict[str, Any]:
    """Sessions that the slice serves at most. room: bytes that a chip has left beside
    `slots` of them; step: what they are a multiple of.

    A session more takes its cache and the rest of its state; temporaries are taken to
    stay as they are: most are of parameters. Compiling with so many tells.
    """
    each = (held["cache"] + held["rest of the sessions"]) / (slots // step)  # of a chip
    by_memory = slots + int(room // each) * step
    by_clock = _last(lambda n: _turn_s(lines(n * step)) <= TURN_S) * step
    most = min(by_memory, by_clock)
    limit = (
        "memory" if by_memory <= by_clock else f"200 ms, {_limit(lines(most + step))[0]}"
    )
    return {
        "sessions": most, "limit": limit, "by_memory": by_memory, "by_clock": by_clock,
        "bytes_a_session": each,
    }  # fmt: skip


def _last(good: Callable[[int], bool]) -> int:
    """The last n from 0 that is good, where those after one that is not are not either."""
    low, high = 0, 1
    while good(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if good(middle) else (low, middle)
    return low


def _flops(cfg: ModelConfig, program: str, slots: int) -> dict[str, float]:
    """Of all chips in one micro-turn, by part, with the cache full."""
    before = cfg.horizon
    if program == "ingest":
        made = {"audio": AUDIO_PER_TURN, "patches": cfg.patches_per_frame}
        return forward_flops(cfg, cfg.max_ingest, slots, logits=0, before=before, **made)
    steps = cfg.flow_steps * (1 if cfg.flow_guidance == 1 else 2) * AUDIO_PER_TURN
    return forward_flops(
        cfg, RUNS[program], slots, voice=AUDIO_PER_TURN, flow=steps, before=before
    )


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
