"""python -m interaction.train --config=configs/nano.py --workdir=runs/nano"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from interaction.errors import run_command
from interaction.memory import keep_freed_memory
from interaction.settings import load

EPILOG = """examples:
  python -m interaction.train --config=configs/nano.py --workdir=runs/nano
  python -m interaction.train --config=configs/nano.py --workdir=runs/try \\
      --config.train.steps=200 --config.model.width=128
  python -m interaction.train --config=configs/nano.py --workdir=runs/more --init=nano
  python -m interaction.train --config=configs/nano.py --workdir=runs/nano \\
      --config.train.batch_shards=8 --config.train.mesh.fsdp=8   # on a CPU: virtual devices
  tensorboard --logdir runs/nano/tensorboard

Started again with the same --workdir, a run goes on from its last checkpoint with the
same losses to the last bit, on another mesh too. SIGTERM saves and ends it."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m interaction.train",
        description="Train an interaction model; resumable.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", required=True, help="a file from configs/")
    parser.add_argument("--workdir", required=True, type=Path, help="where the run lives")
    parser.add_argument("--stop_at", type=int, help="stop after this step (schedule kept)")
    parser.add_argument("--init", help="model to start from: a shipped name or a directory")
    args, overrides = parser.parse_known_args()
    config = load(args.config, overrides)
    keep_freed_memory()
    # JAX loads once the input is known good.
    from interaction.parallel.mesh import virtual_devices
    from interaction.train.loop import train

    if "train" in config:
        virtual_devices(math.prod(config.train.mesh.to_dict().values()))

    train(config, args.workdir, args.stop_at, args.init)
    return 0


if __name__ == "__main__":
    run_command(main)
