"""The training loop: batch in, update, numbers out; resumes where it was killed."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from interaction.config import ModelConfig
from interaction.data.pack import Shape
from interaction.data.pipeline import MakeRow, batches
from interaction.errors import InputError
from interaction.modality.audio import MELS, PATCH_FRAMES
from interaction.package import tokenizer_path
from interaction.train.checkpoint import Checkpoints
from interaction.train.losses import Weights
from interaction.train.media import Media
from interaction.train.metrics import Metrics
from interaction.train.optimiser import optimiser
from interaction.train.state import TrainState, create, train_step

STATISTICS_ROWS = 48  # dialogues that the flow head's mean and deviation come from


def row_maker(config: ConfigDict, cfg: ModelConfig) -> MakeRow:
    """How a row of this run is made. Raises InputError if it cannot fit the model."""
    data = config.data
    if data.positions > cfg.horizon:
        raise InputError(
            f"config.data.positions={data.positions} is longer than the cache's horizon "
            f"(config.model.horizon={cfg.horizon}); lower it or raise the horizon"
        )
    return MakeRow(
        cfg,
        Shape(data.positions, data.patches, data.audio_out),
        str(tokenizer_path(config.name)),
        data.seed,
        data.turns,
        warm_rows=data.warm_rows,
        warm_mix=tuple(data.warm_mix.items()),
    )


def with_statistics(state: TrainState, make: MakeRow) -> TrainState:
    """Mean and deviation of the agent's mel per channel, frozen in the flow head."""
    rows = [make.map(i) for i in range(STATISTICS_ROWS)]
    voice = np.concatenate([r["voice"][r["voice_at"] >= 0] for r in rows])
    frames = voice.reshape(-1, MELS)
    spread = lambda x: jnp.asarray(np.tile(x, PATCH_FRAMES), jnp.float32)  # noqa: E731
    mean, std = spread(frames.mean(0)), spread(np.maximum(frames.std(0), 0.05))
    flow = state.params["flow"] | {"mean": mean, "std": std}
    return state._replace(params=state.params | {"flow": flow})


def train(config: ConfigDict, workdir: Path, stop_at: int | None = None) -> TrainState:
    """Train to `config.train.steps` (or `stop_at`), saving into `workdir`.

    SIGTERM saves and returns. Raises FloatingPointError when a loss is not finite,
    naming the step and the rows of its batch.
    """
    cfg = ModelConfig.from_mapping(config.model.to_dict())
    t = config.train
    weights = Weights(
        t.flow_weight,
        t.heard_weight,
        t.control_weight,
        t.z_loss,
        t.flow_draws,
        t.flow_rows,
    )
    make = row_maker(config, cfg)
    tx = optimiser(t)
    state = create(cfg, tx, t.seed)
    workdir.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(workdir)
    iterator = iter(batches(make, t.batch, config.data.workers))
    if checkpoints.latest is not None:
        state = checkpoints.restore(checkpoints.latest, state, iterator)
        print(f"resumed at step {int(state.step)}", flush=True)
    else:
        state = with_statistics(state, make)
    step, last = int(state.step), min(stop_at or t.steps, t.steps)
    metrics = Metrics(workdir, step, t.steps, t.log_every)
    media = Media(cfg, make.tokenizer, config.data.seed)
    key = jax.random.key(t.seed + 1)

    stopping: list[bool] = []
    # Data workers start with the first batch and inherit what is ignored now: a SIGTERM
    # to the whole process group must not take them away before the last save.
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pending = None  # numbers of the step under way, fetched while the next one runs
    try:
        while step < last and not stopping:
            began = time.monotonic()
            batch = next(iterator)
            wait = time.monotonic() - began
            signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
            state, values = train_step(
                state, batch, key, t.bias_rate,
                cfg=cfg, tx=tx, weights=weights, remat=t.remat,
            )  # fmt: skip
            step += 1
            if pending:
                _record(metrics, *pending)
            pending = (step, values, int(batch["n_valid"].sum()), wait, t.batch)
            if t.media_every and step % t.media_every == 0:
                media.log(metrics, state.params, step)
            if step % t.save_every == 0 and step < last:
                checkpoints.save(step, state, iterator)
        if pending:
            _record(metrics, *pending)
        if checkpoints.latest != step:
            checkpoints.save(step, state, iterator)
    finally:
        signal.signal(signal.SIGTERM, before)
        metrics.close()
        checkpoints.close()
    return state


def _record(
    metrics: Metrics, step: int, values: dict, positions: int, wait: float, batch: int
) -> None:
    values = jax.device_get(values)
    if not values.pop("finite"):
        rows = f"{(step - 1) * batch}..{step * batch - 1}"
        raise FloatingPointError(
            f"loss or gradient not finite at step {step}, rows {rows}; "
            "the state before it is unchanged in the last checkpoint"
        )
    metrics.step(step, dict(values), positions, wait)
