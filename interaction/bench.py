"""How fast a model runs here, beside what this machine can do at all.

    python -m interaction.bench --config=configs/nano.py --report=bench.json
    python -m interaction.bench --config=configs/nano.py --checkpoint=nano --slots 1 4 16
    python -m interaction.bench --config=configs/nano.py --checkpoint=nano --numerics

Measures, each after warm-up and interleaved so that a busy machine bends all alike: the
machine's matrix products and memory copies; micro-turns with 1, 4, 16 sessions that hear
speech; training steps. Figures are medians. Without --checkpoint the weights are random.
With --numerics every micro-turn, and then every training step, runs in both numeric modes
by turns, five turns for a step; what the bits cost is the median of the ratios invariant /
fast of one micro-turn each. (Turns in which somebody speaks take several times as long as
others: medians of each mode may fall on different sides.)
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from interaction import model, report
from interaction.config import ModelConfig
from interaction.counts import parts
from interaction.data import world
from interaction.errors import InputError, run_command
from interaction.modality import waveform
from interaction.modality.audio import TURN_SAMPLES
from interaction.modality.text import Text
from interaction.package import ASSETS, Package, open_package, tokenizer_path
from interaction.params import initialise
from interaction.session import Session
from interaction.settings import load

SIDE = 1024  # of the matrices that measure the machine
TURNS = 40  # of speech that every session hears
TURNS_A_STEP = 5  # micro-turns are short: where numerics are compared, so many for a step

Step = Callable[[], Any]
Name = TypeVar("Name")


def _timed(step: Step) -> float:
    """Milliseconds until a step's result exists."""
    began = time.perf_counter()
    jax.block_until_ready(step())
    return 1e3 * (time.perf_counter() - began)


def machine_steps(dtype: str) -> dict[str, tuple[Step, float, str]]:
    """name -> (step, units of work in it, name of the rate)."""
    x = jax.random.normal(jax.random.key(0), (SIDE, SIDE)).astype(dtype)
    product = jax.jit(lambda a: a @ a)
    big = jnp.zeros((64 << 20,), jnp.uint8)
    copy = jax.jit(lambda a: a + 1)
    return {
        "product": (lambda: product(x), 2 * SIDE**3 / 1e9, "gflop_per_s"),
        "copy": (lambda: copy(big), 2 * big.nbytes / 1e9, "gb_per_s"),
    }


def _package(config: Any, cfg: ModelConfig, checkpoint: str | None) -> Package:
    if checkpoint:
        package = open_package(checkpoint)
        if package.cfg != cfg:
            raise InputError(
                f"--checkpoint={checkpoint} is of another config; give its own"
            )
        return package
    params = initialise(model.specs(cfg), jax.random.key(0))
    text = Text.open(tokenizer_path(config.name))
    wave = waveform.load(ASSETS / "nano" / "waveform.safetensors")
    return Package(cfg, params, text, wave, Path(config.name))


def turn_steps(package: Package, slots: int) -> Step:
    """A micro-turn of sessions that each hear their own dialogue, over and over."""
    session = Session(package, slots)
    heard = [
        world.dialogue(0, i, "held_out_voices", turns=TURNS).user.reshape(-1, TURN_SAMPLES)
        for i in range(min(slots, 4))
    ]

    def turns() -> Iterator[Any]:
        k = 0
        while True:
            waves = [heard[s % len(heard)][k % TURNS] for s in range(slots)]
            yield session.step(waves[0] if slots == 1 else waves)
            k += 1

    running = turns()
    return lambda: next(running)


def train_step(config: Any, cfg: ModelConfig) -> tuple[Step, int]:
    """A training step on one batch, again and again; -> (step, its positions)."""
    from interaction.data.pipeline import stack
    from interaction.train import loop
    from interaction.train.losses import loss_weights
    from interaction.train.optimiser import optimiser
    from interaction.train.state import create
    from interaction.train.state import train_step as update

    t = config.train
    make, tx = loop.row_maker(config, cfg), optimiser(t, cfg, None)
    batch = stack([make.map(i) for i in range(t.batch)])
    state, key = create(cfg, tx, t.seed), jax.random.key(0)
    weights = loss_weights(t)

    def step() -> Any:
        nonlocal state
        state, values = update(
            state, batch, key, t.bias_rate, t.clip, cfg=cfg, tx=tx, weights=weights,
            remat=t.remat, batch_shards=t.batch_shards,
        )  # fmt: skip
        return values

    return step, int(batch["n_valid"].sum())


def measure(steps: dict[Name, Step], repetitions: int, warm_up: int = 3) -> dict[Name, Any]:
    """Milliseconds of every step, interleaved. -> name -> float64 [repetitions]."""
    for step in track(steps.values(), "warming up", transient=True):
        for _ in range(warm_up):
            _timed(step)
    times: dict[Name, list[float]] = {name: [] for name in steps}
    for _ in track(range(repetitions), "measuring", transient=True):
        for name, step in steps.items():
            times[name].append(_timed(step))
    return {name: np.array(values) for name, values in times.items()}


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="python -m interaction.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", required=True, type=Path)
    parser.add_argument("--checkpoint", help="weights of this config, in place of random")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--repetitions", type=int, default=40)
    parser.add_argument(
        "--numerics", action="store_true", help="what invariant costs over fast numerics"
    )
    parser.add_argument("--no-train", action="store_true", help="leave training out")
    parser.add_argument("--report", type=Path)
    return parser.parse_known_args()


def run(
    config: Any, checkpoint: str | None, slots: list[int], repetitions: int, train: bool
) -> dict[str, Any]:
    """The report's figures."""
    cfg = ModelConfig.from_mapping(config.model.to_dict())
    package = _package(config, cfg, checkpoint)
    machine = machine_steps(cfg.dtype)
    steps = {name: step for name, (step, _, _) in machine.items()}
    steps |= {f"turn {n}": turn_steps(package, n) for n in slots}
    positions = 0
    if train:
        steps["train"], positions = train_step(config, cfg)
    times = measure(steps, repetitions)
    limits = {
        f"{name}_{rate}": round(work / float(np.median(times[name])) * 1e3, 1)
        for name, (_, work, rate) in machine.items()
    }
    turns = []
    for n in slots:
        spent = times[f"turn {n}"]
        turns.append({
            "slots": n,
            "compute_ms": report.percentiles(spent),
            "sessions_in_real_time": round(n * 200 / float(np.median(spent)), 1),
        })  # fmt: skip
    figures: dict[str, Any] = {"machine": limits, "turns": turns}
    if train:
        seconds = float(np.median(times["train"])) / 1e3
        active = sum(part.active for part in parts(cfg))
        gflop = 6 * active * positions / 1e9  # forward and backward; attention left out
        figures["training"] = {
            "step_s": round(seconds, 3),
            "positions_per_s": round(positions / seconds, 1),
            "gflop_per_s": round(gflop / seconds, 1),
            "share_of_product_rate": round(
                gflop / seconds / limits["product_gflop_per_s"], 3
            ),
        }
    return figures


def compare_numerics(
    config: Any, checkpoint: str | None, slots: list[int], repetitions: int, train: bool
) -> dict[str, Any]:
    """Each step in both modes, interleaved. -> medians in ms; of the pairs' ratios, the
    median and the middle half."""
    cfg = ModelConfig.from_mapping(config.model.to_dict())
    package = _package(config, cfg, checkpoint)
    modes = [dataclasses.replace(cfg, numerics=mode) for mode in ("fast", "invariant")]
    turns = {
        (f"turn {n}", mode.numerics): turn_steps(package._replace(cfg=mode), n)
        for n in slots
        for mode in modes
    }
    times = measure(turns, TURNS_A_STEP * repetitions)
    if train:  # not between turns: it would empty the machine's caches
        steps = {("train", mode.numerics): train_step(config, mode)[0] for mode in modes}
        times |= measure(steps, repetitions)
    whats = dict.fromkeys(what for what, _ in times)
    pairs = {what: (times[what, "fast"], times[what, "invariant"]) for what in whats}
    return {"numerics": [{"what": what} | compared(*pairs[what]) for what in pairs]}


def compared(fast: np.ndarray, invariant: np.ndarray) -> dict[str, Any]:
    """Milliseconds of the same steps in both modes, float64 [n] each."""
    low, middle, high = np.percentile(invariant / fast, [25, 50, 75]).round(3).tolist()
    return {
        "fast_ms": round(float(np.median(fast)), 2),
        "invariant_ms": round(float(np.median(invariant)), 2),
        "ratio": middle,
        "half": f"{low} to {high}",
    }


def _show_numerics(figures: dict[str, Any]) -> None:
    table = Table("what", "fast ms", "invariant ms", "ratio", "half of them", box=None)
    for row in figures["numerics"]:
        table.add_row(*map(str, row.values()))
    Console().print(table)


def _show(figures: dict[str, Any]) -> None:
    table = Table("what", "figure", box=None)
    for name, value in figures["machine"].items():
        table.add_row(f"machine: {name}", f"{value}")
    for turn in figures["turns"]:
        ms, real = turn["compute_ms"], turn["sessions_in_real_time"]
        text = f"p50 {ms['p50']:.1f} ms, p99 {ms['p99']:.1f} ms; {real:g} in real time"
        table.add_row(f"micro-turn, {turn['slots']} sessions", text)
    for name, value in figures.get("training", {}).items():
        table.add_row(f"training: {name}", f"{value}")
    Console().print(table)


def main() -> int:
    args, overrides = _arguments()
    if min(args.slots) < 1 or args.repetitions < 1:
        raise InputError("--slots and --repetitions start at 1")
    config = load(args.config, overrides)
    if "train" not in config:
        args.no_train = True
    what, show = (compare_numerics, _show_numerics) if args.numerics else (run, _show)
    figures = what(config, args.checkpoint, args.slots, args.repetitions, not args.no_train)
    show(figures)
    if args.report:
        head = report.header("interaction.bench/1", config.to_dict())
        report.write_report(args.report, head | figures)
    return 0


if __name__ == "__main__":
    run_command(main)
