"""Make the golden plans again, all or those named:

    python tests/planning/renew.py [nano-train-v6e-2x4 ...]
    python tests/planning/renew.py --counted [...]

A golden holds the arguments of its plan, so a new one begins as {"args": [...]}. Those of
the 276B configuration take minutes each; a test compiles only nano's.

With --counted nothing is compiled: what the compiler found (memory, `sent`) stays, and all
that is counted from it and from the config is counted again by the same functions. So what
a report says newly, if it takes no compiler, comes into goldens of programs that did.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from interaction import plan, pod
from interaction.chips import chip_of
from interaction.planning import serving, training
from interaction.planning.activations import activations
from interaction.planning.traffic import Sent

GOLDENS = Path(__file__).parent / "goldens"
KEPT = (
    "mesh", "fits", "needs_bytes", "budget_bytes", "held_bytes", "memory_bytes",
    "activations_bytes", "flops", "sent", "roofline", "projected",
)  # fmt: skip
"""Of a report: what the program and the arithmetic say."""


def _planned(args: list[str]) -> dict:
    """The report of `interaction.plan` with these arguments."""
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "plan.json"
        command = [sys.executable, "-m", "interaction.plan", *args, f"--report={report}"]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
        return json.loads(report.read_text())


def counted(golden: dict, *, traced: bool = True) -> dict:
    """What of a golden takes no compiler, counted again from what one found. traced: also
    the activations, which take seconds."""
    args, overrides = plan.arguments(golden["args"])
    config, cfg = plan.configured(args, overrides)
    chip, held = chip_of(args.topology), golden["held_bytes"]
    mesh = pod.pod_mesh(args.topology, golden["mesh"], args.slices)
    listed = lambda sent: [Sent(**one) for one in sent]  # noqa: E731
    if args.mode == "serve":
        sent = {name: listed(one) for name, one in golden["sent"].items()}
        need = golden["needs_bytes"]
        return serving.counted(cfg, chip, mesh, args.slots, held, need, sent)
    found = training.counted(config, cfg, chip, mesh, held, listed(golden["sent"]))
    kept = {"activations_bytes": activations(config, cfg, mesh)} if traced else {}
    return found | kept


def main() -> None:
    names = [name for name in sys.argv[1:] if name != "--counted"]
    for name in names or sorted(path.stem for path in GOLDENS.glob("*.json")):
        path = GOLDENS / f"{name}.json"
        golden = json.loads(path.read_text())
        if "--counted" in sys.argv:
            made_by, found = golden["made_by"], golden | counted(golden)
        else:
            found = _planned(golden["args"])
            # Its seconds are there to be read; nothing compares them.
            made_by = {package: version(package) for package in ("jax", "libtpu")}
            made_by["compile_s"] = round(found["compile_s"], 1)
        head = {"args": golden["args"], "made_by": made_by}
        golden = head | {name: found[name] for name in KEPT if name in found}
        path.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
