"""The training loop: batch in, update, numbers out; resumes where it was killed."""

from __future__ import annotations

import functools
import signal
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from interaction.config import ModelConfig
from interaction.params import Params
from interaction.train import average, hosts
from interaction.train.begin import Run, begin, row_maker
from interaction.train.guard import limited_step
from interaction.train.media import Media
from interaction.train.metrics import Metrics
from interaction.train.profile import Profile
from interaction.train.speed import flop_per_position, peak_flop_per_s
from interaction.train.state import TrainState, train_step

__all__ = ["row_maker", "train"]


class _Pending(NamedTuple):
    """Numbers of the step under way, fetched while the next one runs."""

    step: int
    values: dict
    rows: str
    wait_s: float


def train(
    config: ConfigDict,
    workdir: Path,
    stop_at: int | None = None,
    init: str | None = None,
    profile: str | None = None,
) -> TrainState:
    """Train to `config.train.steps` (or `stop_at`), saving into `workdir`. Every host of
    a run calls it.

    init: name or directory of a model to start from, in place of random parameters.
    profile: "STEP" or "STEP:N", the steps to trace (a file `profile` in workdir asks for
    more). SIGTERM on any host saves and returns on all. Raises FloatingPointError on a bad
    step, naming the rows of its batch, where `config.train.on_bad_step` does not say skip.
    """
    stopping: list[bool] = []
    before = signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    try:
        tracer = Profile(profile, workdir)
        run = begin(config, workdir, init)
        try:
            _steps(run, config, workdir, stop_at, stopping, tracer)
        finally:
            tracer.close()
            run.close()
        return run.state
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _steps(
    run: Run,
    config: ConfigDict,
    workdir: Path,
    stop_at: int | None,
    stopping: list[bool],
    tracer: Profile,
) -> None:
    t, alone = run.train, jax.process_count() == 1
    step, last = int(run.state.step), min(stop_at or t.steps, t.steps)
    metrics = _metrics(run, workdir, step) if hosts.is_first() else None
    media = Media(run.cfg, run.make.tokenizer, config.data.seed)
    tally, stop = hosts.Tally(run.mesh), False
    pending: _Pending | None = None
    try:
        while step < last and not stop and not (alone and stopping):
            step += 1
            tracer.before(step)
            began, first = time.monotonic(), run.feed.next_row
            batch = next(run.feed)
            wait = time.monotonic() - began
            values = _update(run, step, batch)
            values |= tally(bool(stopping), batch["n_valid"])
            tracer.after(step, values["loss"])
            if pending:
                stop = _record(run, metrics, pending)
            pending = _Pending(step, values, f"{first}..{run.feed.next_row - 1}", wait)
            saves = step % t.save_every == 0 and step < last
            if saves:  # losses.jsonl must hold whatever a checkpoint has behind it
                stop = _record(run, metrics, pending) or stop
                pending = None
            if t.media_every and step % t.media_every == 0:
                params = hosts.local(run.state.params)
                if metrics:
                    media.log(metrics, params, step)
                hosts.barrier("media logged")
            if saves:
                _save(run, metrics, step)
        if pending:
            _record(run, metrics, pending)
        if run.checkpoints.latest != step:
            _save(run, metrics, step)
    finally:
        if metrics:
            metrics.close()


def _metrics(run: Run, workdir: Path, step: int) -> Metrics:
    t, devices = run.train, jax.devices()
    flop, peak = flop_per_position(run.cfg), peak_flop_per_s(devices)
    return Metrics(workdir, step, t.steps, t.log_every, flop, peak)


def _update(run: Run, step: int, batch: dict) -> dict:
    """One step on the devices; -> its numbers, not yet there."""
    t = run.train
    fixed = dict(
        cfg=run.cfg, tx=run.tx, weights=run.weights, remat=t.remat,
        batch_shards=t.batch_shards, mesh=run.mesh,
    )  # fmt: skip
    limit = (run.guard.limit(step),) if t.get("spike") else ()
    update: Any = limited_step if limit else train_step
    args = (run.state, batch, run.key, *limit, t.bias_rate, t.clip)
    if not run.compiled:  # one host may find the program in a cache, another not
        update.lower(*args, **fixed).compile()
        hosts.barrier("compiled")
        run.compiled = True
    run.state, values = update(*args, **fixed)
    if run.average is not None:
        run.average = average.move(run.average, run.state.params, t.ema)
    if step % t.log_every == 0 or step == t.steps:
        values["bias"] = _router_bias(run.state.params, run.cfg)
    return values


@functools.partial(jax.jit, static_argnames="cfg")
def _router_bias(params: Params, cfg: ModelConfig) -> jax.Array:
    """Of every sparse layer, in the order of `load`. -> float32 [L, X]"""
    numbers: list[int] = []
    rows = []
    for stacks, segment in zip(cfg.stacks, params["layers"], strict=True):
        for layers, run in zip(stacks, segment, strict=True):
            if not cfg.layer_kinds[layers[0]].is_dense:
                numbers += layers
                rows.append(run["mlp"]["router_bias"])
    return jnp.concatenate(rows)[np.argsort(numbers)]


def _record(run: Run, metrics: Metrics | None, pending: _Pending) -> bool:
    """Fetch a step's numbers, judge it, log it. -> whether a host was asked to stop."""
    values = jax.device_get(pending.values)
    finite, stop = bool(values.pop("finite")), bool(values.pop("stop"))
    positions = int(values.pop("positions"))
    skipped = run.guard.judge(pending.step, finite, float(values["loss"]), pending.rows)
    if metrics:
        metrics.step(pending.step, values, positions, pending.wait_s, skipped, pending.rows)
    return stop


def _save(run: Run, metrics: Metrics | None, step: int) -> None:
    if metrics:
        metrics.flush()
    run.save(step)
