"""Whether results have the same bits in every setting that must not matter.

    python -m interaction.parity --config=configs/nano.py --report=parity.json

Sessions that hear, see, read and speak, of different ages in one batch, past the windows
of every layer, run through the micro-turn; then again

    L0  in another run
    L1  in other batches and slots
    L2  teacher-forced in one forward, and in other blocks through the cache
    L3  on other meshes; and a training step's gradients over data and fsdp
    L4  in several processes

and every element is compared by its bits. Exit status 1 when one differs.

    python -m interaction.parity --config=configs/nano.py --bisect reference numerics=fast
    python -m interaction.parity --config=configs/nano.py --bisect session=3 tensor=2,fsdp=2

shows, stage by stage through a forward of the same sessions, where two settings part.

    python -m interaction.parity --config=configs/nano.py --topology v5p:2x2x1 v6e:2x2

compiles training and serving for TPUs that need not be here, and reads in the compiled
programs that every sum is in pinned blocks, and no collective reorders one.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from pathlib import Path
from typing import Any

from interaction import report
from interaction.config import ModelConfig
from interaction.errors import InputError, run_command
from interaction.parallel.mesh import mesh_sizes, virtual_devices
from interaction.parity import (
    DEVICES,
    LEVELS,
    Subject,
    bisect,
    mixed_mesh,
    random_subject,
    run,
    tell,
    title,
)
from interaction.parity.processes import compare_processes
from interaction.settings import load


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="python -m interaction.parity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--config", required=True, type=Path, help="a file from configs/")
    add("--checkpoint", help="weights of this config, in place of random ones")
    add("--dtype", nargs="+", default=["float32", "bfloat16"])
    add("--numerics", default="invariant", choices=["invariant", "fast"])
    add("--levels", nargs="+", default=list(LEVELS), choices=LEVELS)
    add("--mesh", nargs="+", help="of L3: axis=devices,… each; default: all that divide")
    add("--slots", type=int, default=DEVICES, help="sessions in the batch (8)")
    add("--turns", type=int, default=48, help="micro-turns (48)")
    add("--bisect", nargs=2, metavar="SETTING",
        help="two of: `reference`, numerics=fast, dtype=bfloat16, session=N, blocks=N, "
        "axis=devices, or several with commas")  # fmt: skip
    add("--topology", nargs="+", help="TPUs such as v5p:2x2x1; --mesh: one, on them")
    add("--report", type=Path)
    return parser.parse_known_args()


def _subject_config(config: Any, args: argparse.Namespace, dtype: str) -> ModelConfig:
    cfg = ModelConfig.from_mapping(config.model.to_dict())
    return dataclasses.replace(cfg, dtype=dtype, numerics=args.numerics)


def _subject(config: Any, args: argparse.Namespace, dtype: str) -> Subject:
    cfg = _subject_config(config, args, dtype)
    if not args.checkpoint:
        return random_subject(cfg)
    from interaction.package import open_package

    package = open_package(args.checkpoint)
    same = dataclasses.replace(package.cfg, dtype=dtype, numerics=args.numerics)
    if same != cfg:
        raise InputError(f"--checkpoint={args.checkpoint} was made with another config")
    return Subject(cfg, package.params, package.wave)


def _bisect(config: Any, args: argparse.Namespace) -> int:
    a, b = (bisect.setting(text) for text in args.bisect)
    subject = _subject(config, args, args.dtype[0])
    batch = tell(subject, args.slots, args.turns).batch
    print(f"{'stage':36}{'elements':>12}{'differ':>12}{'largest':>12}")
    found = list(bisect.bisect(subject, batch, a, b))
    for row in found:
        print(f"{row.name:36}{row.elements:>12,}{row.differing:>12,}{row.largest:>12.2g}")
    first = next((row.name for row in found if row.differing), None)
    print(f"first to differ: {first}" if first else "no bit differs")
    if args.report:
        head = report.header("interaction.bisect/1", config.to_dict())
        rows = [row._asdict() for row in found]
        report.write_report(args.report, head | {"settings": args.bisect, "rows": rows})
    return int(first is not None)


def _pods(config: Any, args: argparse.Namespace) -> int:
    from interaction.parity.pods import compile_all, faults

    cfg = _subject_config(config, args, "bfloat16")
    sizes = mesh_sizes(args.mesh[0]) if args.mesh else {"fsdp": 2, "tensor": 2}
    rows, bad = [], 0
    for topology in args.topology:
        programs = {}
        for name, program in compile_all(config, cfg, topology, sizes, args.slots):
            programs[name] = program
            print(f"{topology} {title(sizes)} {name}", flush=True)
            for kernel, n in program.kernels.items():
                inside = ", ".join(sorted(program.units[kernel]))
                print(f"  {kernel:20}{n:6}  {inside}")
            for kind, n in program.collectives.items():
                print(f"  {kind:20}{n:6}")
            print(f"  {'left to XLA':20}{len(program.products):6} products, "
                  f"{len(program.sums)} sums", flush=True)  # fmt: skip
            units = {kernel: sorted(u) for kernel, u in program.units.items()}
            row: dict[str, Any] = {"topology": topology, "program": name}
            rows.append(row | program._asdict() | {"units": units})
        found = faults(programs)
        bad += len(found)
        print("\n".join(f"FAULT {fault}" for fault in found) or "no fault", flush=True)
    if args.report:
        head = report.header("interaction.pods/1", config.to_dict())
        report.write_report(args.report, head | {"mesh": sizes, "rows": rows})
    return int(bad > 0)


def main() -> int:
    args, overrides = _arguments()
    if args.slots < 1 or args.turns < 2 * args.slots:
        raise InputError("--slots starts at 1, --turns at twice as many")
    virtual_devices(max(DEVICES, args.slots))
    config = load(args.config, overrides)
    on = None if args.mesh is None else [mesh_sizes(text) for text in args.mesh]
    if args.bisect:
        return _bisect(config, args)
    if args.topology:
        return _pods(config, args)
    rows: list[dict[str, Any]] = []
    print(f"{'level':6}{'dtype':10}{'comparison':38}{'elements':>12}{'differ':>12}  first")
    for dtype in args.dtype:
        subject = _subject(config, args, dtype)
        found = run(subject, args.levels, args.slots, args.turns, on)
        if "L4" in args.levels:
            found = itertools.chain(
                found,
                compare_processes(subject, args.slots, args.turns, mixed_mesh(subject.cfg)),
            )
        for row in found:
            print(
                f"{row.level:6}{dtype:10}{row.what:38}{row.elements:>12,}"
                f"{row.differing:>12,}  {row.first or ''}",
                flush=True,
            )
            rows.append({"dtype": dtype} | row._asdict())
    bad = sum(row["differing"] > 0 for row in rows)
    print(f"{len(rows)} comparisons, {bad} with differing bits")
    if args.report:
        head = report.header("interaction.parity/1", config.to_dict())
        report.write_report(args.report, head | {"numerics": args.numerics, "rows": rows})
    return int(bad > 0)


if __name__ == "__main__":
    run_command(main)
