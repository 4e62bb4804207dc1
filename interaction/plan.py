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
import time
from pathlib import Path
from typing import Any

from interaction import counts, report
from interaction.config import ModelConfig
from interaction.errors import InputError, run_command
from interaction.parallel.mesh import AXES, mesh_sizes
from interaction.planning import show
from interaction.settings import load

SCHEMA = "interaction.plan/1"


def _arguments() -> tuple[argparse.Namespace, list[str]]:
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
    add(
        "--mesh", type=mesh_sizes, help="axis=devices,…; default: the config's, or the best"
    )
    add("--numerics", choices=["invariant", "fast"], help="default: the config's")
    add("--slots", type=int, default=8, help="sessions that are served at once (8)")
    add("--search", action="store_true", help="rank the legal meshes; compile the best")
    add("--report", type=Path, help="JSON")
    return parser.parse_known_args()


def _mesh(config: Any, cfg: ModelConfig, args: argparse.Namespace) -> dict[str, int]:
    from interaction.planning.search import ranked

    if args.mesh and not args.search:
        return {axis: args.mesh.get(axis, 1) for axis in AXES}
    best = ranked(config, cfg, args.mode, args.topology, args.slices, args.slots)
    if args.search:
        print(show.ranking(best))
    return best[0].sizes


def main() -> int:
    args, overrides = _arguments()
    config = load(args.config, overrides)
    cfg = ModelConfig.from_mapping(config.model.to_dict())
    if args.numerics:
        cfg = dataclasses.replace(cfg, numerics=args.numerics)
    if args.mode == "count":
        print(counts.table(cfg))
        return 0
    if not args.topology:
        raise InputError(f"--mode={args.mode} wants --topology, such as v5p:2x2x2")
    if min(args.slices, args.slots) < 1:
        raise InputError("--slices and --slots start at 1")
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
    print(show.plan(found))
    if args.report:
        report.write_report(args.report, report.header(SCHEMA, config.to_dict()) | found)
    return 0


if __name__ == "__main__":
    run_command(main)
