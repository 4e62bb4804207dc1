"""python -m interaction.plan --config=configs/mini.py --mode=count"""

from __future__ import annotations

import argparse

from interaction import counts
from interaction.config import ModelConfig
from interaction.errors import run_command
from interaction.settings import load


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m interaction.plan",
        description="What a config costs, before it is run. --mode=count: parameters, "
        "total and active, by part.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", required=True, help="a file from configs/")
    parser.add_argument("--mode", default="count", choices=["count"])
    args, overrides = parser.parse_known_args()
    config = load(args.config, overrides)
    print(counts.table(ModelConfig.from_mapping(config.model.to_dict())))
    return 0


if __name__ == "__main__":
    run_command(main)
