"""Make the golden plans again, all or those named:

    python tests/planning/renew.py [nano-train-v6e-2x4 ...]

A golden holds the arguments of its plan, so a new one begins as {"args": [...]}. Those of
the 276B configuration take minutes each; a test compiles only nano's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

GOLDENS = Path(__file__).parent / "goldens"
KEPT = (
    "mesh", "fits", "needs_bytes", "budget_bytes", "held_bytes", "memory_bytes", "flops",
    "sent", "roofline", "projected",
)  # fmt: skip
"""Of a report: what the program and the arithmetic say, and not how long they took."""


def plan(args: list[str]) -> dict:
    """The report of `interaction.plan` with these arguments, cut to what is kept."""
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "plan.json"
        command = [sys.executable, "-m", "interaction.plan", *args, f"--report={report}"]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
        found = json.loads(report.read_text())
    return {name: found[name] for name in KEPT if name in found}


def main() -> None:
    names = sys.argv[1:] or sorted(path.stem for path in GOLDENS.glob("*.json"))
    for name in names:
        path = GOLDENS / f"{name}.json"
        args = json.loads(path.read_text())["args"]
        made_by = {package: version(package) for package in ("jax", "libtpu")}
        golden = {"args": args, "made_by": made_by} | plan(args)
        path.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
