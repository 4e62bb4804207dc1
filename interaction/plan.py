"""What a config costs, before it is run: no TPU is needed.

    python -m interaction.plan --config=configs/mini.py

counts parameters, total and active, by part.

    python -m interaction.plan --config=configs/tml_interaction_small.py \\
        --mode=train --topology=v5p:8x8x8
    python -m interaction.plan --config=configs/tml_interaction_small.py \\
        --mode=serve --topology=v6e:4x8 --slots=32 --mesh tensor=8,expert=4

compile the programs ahead of time for these chips, and say whether they fit, what they
send between chips, what limits them, and how fast they could go at best. Every time is
projected: bytes and operations of the program over the makers' figures of the chips.

    python -m interaction.plan --config=configs/tml_interaction_small.py \\
        --mode=train --topology=v6e:16x16 --slices=2 --search

ranks the legal meshes by an estimate first, and compiles the best.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
from pathlib import Path
from typing import Any

from interaction import counts, report
from interaction.chips import chip_of
from interaction.config import ModelConfig
from interaction.errors import InputError, run_command
from interaction.parallel.mesh import AXES, mesh_sizes
from interaction.planning import show
from interaction.settings import load

SCHEMA = "interaction.plan/1"


def arguments(given: list[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """Those of the command line, or given; and what they override of the config."""
    parser = argparse.ArgumentParser(
        prog="python -m interaction.plan",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--config", required=True, help="a file from configs/")
    add("--mode", default="count", choices=["count", "train", "serve"])
    add("--topology", help="TPUs: v5e, v5p, v6e or tpu7x, and a shape: v5p:8x8x8")
    add("--slices", type=int, default=1, help="slices of that topology (1)")
    add("--mesh", type=mesh_sizes, help="axis=devices,…; default: to train, that of the "
        "config where it takes all devices; else the best by the estimate")  # fmt: skip
    add("--numerics", choices=["invariant", "fast"], help="default: the config's")
    add("--slots", type=int, default=8, help="sessions that are served at once (8)")
    add("--search", action="store_true", help="rank the legal meshes; compile the best")
    add("--report", type=Path, help="JSON")
    return parser.parse_known_args(given)


def configured(args: argparse.Namespace, overrides: list[str]) -> tuple[Any, ModelConfig]:
    config = load(args.config, overrides)
    cfg = ModelConfig.from_mapping(config.model.to_dict())
    return config, dataclasses.replace(cfg, numerics=args.numerics or cfg.numerics)


def _mesh(config: Any, cfg: ModelConfig, args: argparse.Namespace) -> dict[str, int]:
    from interaction.planning.search import ranked

    if args.mesh:
        return {axis: args.mesh.get(axis, 1) for axis in AXES}
    if args.mode == "train" and not args.search and (sizes := _own(config, args)):
        return sizes
    best = ranked(config, cfg, args.mode, args.topology, args.slices, args.slots)
    if args.search:
        print(show.ranking(best))
    return best[0].sizes


def _own(config: Any, args: argparse.Namespace) -> dict[str, int] | None:
    """The config's mesh, where it is one of all devices."""
    from interaction.pod import pod_devices

    sizes = dict.fromkeys(AXES, 1) | dict(config.train.get("mesh", {}))
    whole = math.prod(sizes.values()) == len(pod_devices(args.topology, args.slices))
    return sizes if whole and sizes["data"] % args.slices == 0 else None


def _elsewhere(
    config: Any, cfg: ModelConfig, args: argparse.Namespace, found: dict[str, Any]
) -> dict[str, Any]:
    """Where what does not fit may."""
    from interaction.planning import nearest

    rows = config.train.batch if args.mode == "train" else args.slots
    need = found["needs_bytes"] if found.pop("refused", False) else 0.0
    asked = nearest.Asked(
        config, cfg, args.mode, args.topology, args.slices, found["mesh"], rows, need
    )
    told = {"may_fit": nearest.may_fit(asked), "least_chips": nearest.least_chips(asked)}
    if batch := found.get("batch_that_may"):
        told["rows_that_may"] = nearest.rows_flags(config.train, batch)
    return told


def main() -> int:
    args, overrides = arguments()
    config, cfg = configured(args, overrides)
    if args.mode == "count":
        print(counts.table(cfg))
        return 0
    if not args.topology:
        raise InputError(f"--mode={args.mode} wants --topology, such as v5p:2x2x2")
    chip_of(args.topology)  # or refuse it
    if min(args.slices, args.slots) < 1:
        raise InputError("--slices and --slots start at 1")
    if args.mesh and args.search:
        raise InputError("--mesh says which mesh, --search looks for one: give one of them")
    if args.mode == "train" and "train" not in config:
        raise InputError(f"{args.config} has no train group; add one, or use --mode=serve")
    from interaction.planning.serving import plan_serving
    from interaction.planning.training import plan_training

    sizes = _mesh(config, cfg, args)
    began = time.monotonic()
    if args.mode == "train":
        found = plan_training(config, cfg, args.topology, args.slices, sizes)
    else:
        found = plan_serving(cfg, args.topology, args.slices, sizes, args.slots)
    found |= {
        "mode": args.mode, "topology": args.topology, "slices": args.slices,
        "mesh": sizes, "compile_s": time.monotonic() - began,
    }  # fmt: skip
    if not found["fits"]:
        found |= _elsewhere(config, cfg, args, found)
    print(show.plan(found))
    if args.report:
        report.write_report(args.report, report.header(SCHEMA, config.to_dict()) | found)
    return 0


if __name__ == "__main__":
    run_command(main)
