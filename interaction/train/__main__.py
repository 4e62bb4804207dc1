"""python -m interaction.train --config=configs/nano.py --workdir=runs/nano"""

from __future__ import annotations

import argparse
import math
import sys
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
  echo 5 > runs/nano/profile   # trace the next 5 steps of a run under way

  # on every host of a pod, with --workdir on storage that all share:
  python -m interaction.train --distributed --config=configs/mini.py \\
      --workdir=/shared/mini --config.train.batch_shards=32 --config.train.mesh.fsdp=32

Started again with the same --workdir, a run goes on from its last whole checkpoint with
the same losses to the last bit, on another mesh and another number of hosts too. SIGTERM
to any host saves and ends all. A batch that breaks the loss stops the run and is named;
--config.train.on_bad_step=skip leaves it out."""


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
    parser.add_argument(
        "--distributed",
        action="store_true",
        help="one of several processes, found by JAX_COORDINATOR_ADDRESS, "
        "JAX_NUM_PROCESSES and JAX_PROCESS_ID, or by the platform",
    )
    parser.add_argument(
        "--profile",
        metavar="STEP[:N]",
        help="trace N steps (3) from STEP on; of a run under way: echo N > WORKDIR/profile",
    )
    args, overrides = parser.parse_known_args()
    config = load(args.config, overrides)
    keep_freed_memory()
    # JAX loads once the input is known good.
    from interaction.parallel.mesh import virtual_devices
    from interaction.train import hosts

    devices = math.prod(config.train.mesh.to_dict().values()) if "train" in config else 1
    if not args.distributed:
        virtual_devices(devices)
        return _train(args, config)
    hosts.join(devices)
    return hosts.leave_at_once(lambda: _train(args, config))


def _train(args, config) -> int:
    from interaction.train.loop import train

    try:
        train(config, args.workdir, args.stop_at, args.init, args.profile)
    except FloatingPointError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    run_command(main)
