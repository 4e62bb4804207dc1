"""A run's last whole checkpoint as a model directory that `Session.open` takes: the moving
average of the parameters, where the run keeps one.

    python -m interaction.train.export --workdir=runs/nano --output=interaction/assets/nano

Writes model.safetensors, config.json, tokenizer.json, waveform.safetensors and
curves.png (losses by stream).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from interaction.config import ModelConfig
from interaction.directory import directory
from interaction.errors import InputError, run_command
from interaction.package import ASSETS, SOURCE, save_model, tokenizer_path
from interaction.train.metrics import STREAMS


def curves(losses: Path, picture: Path) -> None:
    """Loss by stream over steps, smoothed over 50, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = [json.loads(line) for line in losses.read_text().splitlines()]
    lines = [line for line in lines if "skipped" not in line]
    steps = np.array([line["step"] for line in lines])
    figure, axes = pyplot.subplots(1, len(STREAMS), figsize=(14, 3))
    for axis, stream in zip(axes, STREAMS, strict=True):
        values = np.array([line[stream] for line in lines])
        window = min(50, len(values))
        smooth = np.convolve(values, np.ones(window) / window, "valid")
        axis.semilogy(steps[-len(smooth) :], smooth)
        axis.set(title=stream, xlabel="step")
        axis.grid(alpha=0.3)
    figure.tight_layout()
    partial = picture.with_suffix(".partial.png")
    figure.savefig(partial, dpi=90)
    os.replace(partial, picture)


def export(workdir: Path, output: Path) -> int:
    """-> the step exported. Raises InputError when the run has no checkpoint."""
    from interaction.train.checkpoint import restore_params

    directory("--workdir", workdir)
    directory("--output", output)
    if not (workdir / "checkpoints").is_dir():
        raise InputError(f"no checkpoints in {workdir}; train there first")
    config = ConfigDict(json.loads((workdir / "config.json").read_text()))
    cfg = ModelConfig.from_mapping(config.model.to_dict())
    step, params = restore_params(workdir)
    save_model(output, cfg, params)
    own = workdir / "tokenizer.json"
    tokenizer = own if own.is_file() else tokenizer_path(config.name)
    if (workdir / SOURCE).is_dir():  # started from an imported model: it can go back
        shutil.copytree(workdir / SOURCE, output / SOURCE, dirs_exist_ok=True)
    sources = (tokenizer, ASSETS / "nano" / "waveform.safetensors")
    for source in sources:
        if source.resolve() != (output / source.name).resolve():
            shutil.copy(source, output / source.name)
    curves(workdir / "losses.jsonl", output / "curves.png")
    return step


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m interaction.train.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--workdir", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()
    step = export(args.workdir, args.output)
    print(f"{args.output}: step {step}")
    return 0


if __name__ == "__main__":
    run_command(main)
