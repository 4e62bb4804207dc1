"""The training loop: batch in, update, numbers out; resumes where it was killed."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from interaction.config import ModelConfig
from interaction.data.corpora.records import Corpus
from interaction.data.corpora.rows import CorpusRow
from interaction.data.pack import Shape
from interaction.data.pipeline import MakeRow, batches
from interaction.errors import InputError
from interaction.modality.audio import MELS, PATCH_FRAMES
from interaction.package import SOURCE, locate, open_package, tokenizer_path
from interaction.parallel.mesh import AXES, make_mesh
from interaction.params import flatten
from interaction.train.checkpoint import Checkpoints
from interaction.train.losses import loss_weights
from interaction.train.media import Media
from interaction.train.metrics import Metrics
from interaction.train.optimiser import optimiser
from interaction.train.state import TrainState, create, leaves_of, on_mesh, train_step

STATISTICS_ROWS = 48  # dialogues that the flow head's mean and deviation come from


def row_maker(
    config: ConfigDict, cfg: ModelConfig, workdir: Path | None = None
) -> MakeRow | CorpusRow:
    """How a row of this run is made: of `data.corpus`, if it names one, else of the
    synthetic world; with the tokenizer of the model that it started from, if that has one
    of its own."""
    data = config.data
    own = (workdir or Path()) / "tokenizer.json"
    shape = Shape(data.positions, data.patches, data.audio_out)
    text = str(own if workdir and own.is_file() else tokenizer_path(config.name))
    if data.get("corpus"):
        return CorpusRow(cfg, shape, text, data.seed, data.turns, data.corpus)
    return MakeRow(
        cfg,
        shape,
        text,
        data.seed,
        data.turns,
        warm_rows=data.warm_rows,
        warm_mix=tuple(data.warm_mix.items()),
    )


def run_mesh(train: ConfigDict) -> Mesh | None:
    """The mesh that `config.train.mesh` asks for; None where it is of one device."""
    sizes = train.mesh.to_dict()
    if math.prod(sizes.values()) == 1:
        return None
    try:
        return make_mesh(**sizes)
    except TypeError:
        raise InputError(f"train.mesh has {sorted(sizes)}; its axes are {AXES}") from None


def make_workdir(workdir: Path, config: ConfigDict) -> None:
    """Make the directory and write `config.json`, what the run is made with; say what
    changes when a run goes on with other values."""
    text = config.to_json_best_effort(indent=1)
    path = workdir / "config.json"
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        before = json.loads(path.read_text()) if path.exists() else json.loads(text)
        partial = path.with_suffix(".partial")
        partial.write_text(text + "\n")
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f"{workdir}: {error.strerror}; choose another --workdir") from None
    old, new = flatten(before), flatten(json.loads(text))
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            print(f"config.{key} changes: {old.get(key)} -> {new.get(key)}", flush=True)


def with_statistics(state: TrainState, make: MakeRow | CorpusRow) -> TrainState:
    """Mean and deviation of the agent's mel per channel, frozen in the flow head."""
    rows = [make.map(i) for i in range(STATISTICS_ROWS)]
    voice = np.concatenate([r["voice"][r["voice_at"] >= 0] for r in rows])
    if not len(voice):
        raise InputError(f"data: no agent speech in the first {len(rows)} rows; add some")
    frames = voice.reshape(-1, MELS)
    spread = lambda x: jnp.asarray(np.tile(x, PATCH_FRAMES), jnp.float32)  # noqa: E731
    mean, std = spread(frames.mean(0)), spread(np.maximum(frames.std(0), 0.05))
    flow = state.params["flow"] | {"mean": mean, "std": std}
    return state._replace(params=state.params | {"flow": flow})


SAME = (
    "vocab_used", "window", "log_floor", "log_alpha", "norm_eps", "logit_divisor",
    "experts_per_token", "route_scale",
)  # fmt: skip
"""Config fields that no shape shows and weights depend on."""


def begin_from(state: TrainState, cfg: ModelConfig, name_or_path: str) -> TrainState:
    """Parameters of another model of the same sizes, in this run's dtypes; the optimiser
    starts afresh. The router's bias and the flow head's statistics come along."""
    package = open_package(name_or_path)
    mine, theirs = flatten(state.params), flatten(package.params)
    for name, array in mine.items():
        if name not in theirs or theirs[name].shape != array.shape:
            raise InputError(
                f"--init={name_or_path}: {name} does not fit config.model; use a model "
                "trained with these sizes"
            )
    for name in SAME:
        here, there = getattr(cfg, name), getattr(package.cfg, name)
        if here != there:
            raise InputError(
                f"--init={name_or_path}: trained with model.{name}={there}, config says "
                f"{here}; use the same"
            )
    own = jax.tree.map(lambda a, b: b.astype(a.dtype), state.params, package.params)
    return state._replace(params=own)


def bring_along(workdir: Path, name_or_path: str) -> None:
    """The tokenizer and the `source/` of an imported model, for the run and its export."""
    path = locate(name_or_path)
    if (path / SOURCE).is_dir():
        shutil.copytree(path / SOURCE, workdir / SOURCE, dirs_exist_ok=True)
        if (path / "tokenizer.json").is_file():
            shutil.copyfile(path / "tokenizer.json", workdir / "tokenizer.json")


def train(
    config: ConfigDict, workdir: Path, stop_at: int | None = None, init: str | None = None
) -> TrainState:
    """Train to `config.train.steps` (or `stop_at`), saving into `workdir`.

    init: name or directory of a model to start from, in place of random parameters.
    SIGTERM saves and returns. Raises FloatingPointError when a loss is not finite,
    naming the step and the rows of its batch.
    """
    cfg = ModelConfig.from_mapping(config.model.to_dict())
    for group in ("data", "train"):
        if group not in config:
            raise InputError(f"this config has no {group} group; it can only be planned")
    if config.data.get("corpus"):
        Corpus.open(config.data.corpus)  # or refuse it, before anything is written
    t = config.train
    if min(t.batch, t.steps, t.save_every, t.log_every) < 1:
        raise InputError("config.train: batch, steps, save_every, log_every start at 1")
    weights, tx, mesh = loss_weights(t), optimiser(t), run_mesh(t)
    if t.batch % leaves_of(cfg, t.batch_shards, mesh):
        raise InputError(
            f"train.batch={t.batch}; use a multiple of train.batch_shards={t.batch_shards}"
        )
    state = create(cfg, tx, t.seed)
    if init:
        state = begin_from(state, cfg, init)
    state = on_mesh(state, cfg, mesh)
    make_workdir(workdir, config)
    if init:
        bring_along(workdir, init)
    make = row_maker(config, cfg, workdir)
    checkpoints = Checkpoints(workdir)
    iterator = iter(batches(make, t.batch, config.data.workers))
    if checkpoints.latest is not None:
        state = checkpoints.restore(checkpoints.latest, state, iterator)
        print(f"resumed at step {int(state.step)}", flush=True)
    elif bool((state.params["flow"]["std"] == 1).all()):  # as initialised: none yet
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
                state, batch, key, t.bias_rate, t.clip, cfg=cfg, tx=tx, weights=weights,
                remat=t.remat, batch_shards=t.batch_shards, mesh=mesh,
            )  # fmt: skip
            step += 1
            if pending:
                _record(metrics, *pending)
            pending = (step, values, int(batch["n_valid"].sum()), wait, t.batch)
            saves = step % t.save_every == 0 and step < last
            if saves:  # losses.jsonl must hold whatever a checkpoint has behind it
                _record(metrics, *pending)
                pending = None
                metrics.flush()
            if t.media_every and step % t.media_every == 0:
                media.log(metrics, state.params, step)
            if saves:
                checkpoints.save(step, state, iterator)
        if pending:
            _record(metrics, *pending)
        if checkpoints.latest != step:
            checkpoints.save(step, state, iterator)
    finally:
        metrics.close()
        checkpoints.close()
        signal.signal(signal.SIGTERM, before)
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
