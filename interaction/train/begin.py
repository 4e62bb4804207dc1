"""What a run begins from: a new model, another one, or its own last checkpoint."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from interaction import model
from interaction.config import ModelConfig
from interaction.data.corpora.records import Corpus
from interaction.data.corpora.rows import CorpusRow
from interaction.data.pack import Shape
from interaction.data.pipeline import Maker, MakeRow
from interaction.directory import directory
from interaction.errors import InputError
from interaction.modality.audio import MELS, PATCH_FRAMES
from interaction.package import SOURCE, config_of, locate, open_package, tokenizer_path
from interaction.parallel.mesh import AXES, make_mesh
from interaction.parallel.sharding import shardings
from interaction.params import Params, flatten, is_spec
from interaction.train import average, hosts, lines
from interaction.train.checkpoint import Checkpoints
from interaction.train.feed import Feed, cut_logs
from interaction.train.guard import Guard, rules
from interaction.train.losses import Weights, loss_weights
from interaction.train.optimiser import optimiser
from interaction.train.room import check_room
from interaction.train.state import (
    TrainState,
    begun,
    create,
    described_state,
    leaves_of,
)

STATISTICS_ROWS = 48  # dialogues that the flow head's mean and deviation come from


@dataclasses.dataclass
class Run:
    """A run under way: what stays, and what each step changes."""

    cfg: ModelConfig
    train: ConfigDict
    mesh: Mesh | None
    tx: optax.GradientTransformation
    weights: Weights
    make: Maker
    checkpoints: Checkpoints
    feed: Feed
    guard: Guard
    key: jax.Array
    state: TrainState
    average: Params | None  # moving average of the parameters, where one is kept
    compiled: bool = False  # the step's program, on all hosts

    def save(self, step: int) -> None:
        """On every host, with what leads to this step on disk before."""
        self.feed.flush()
        tree = self.state._asdict()
        if self.average is not None:
            tree |= {"ema": self.average}
        position = {
            "next_row": self.feed.next_row,
            "key": np.asarray(jax.random.key_data(self.key)).tolist(),
            "guard": self.guard.memory,
            "ema": self.average is not None,
        }
        self.checkpoints.save(step, tree, position)

    def close(self) -> None:
        self.feed.close()
        self.checkpoints.close()


def begin(config: ConfigDict, workdir: Path, init: str | None = None) -> Run:
    """The run as its last whole checkpoint left it, or new. Every host calls it. Raises
    InputError before anything is written where the config is no good."""
    directory("--workdir", workdir)
    for group in ("data", "train"):
        if group not in config:
            raise InputError(f"this config has no {group} group; it can only be planned")
    if config.data.get("corpus"):
        Corpus.open(config.data.corpus)  # or refuse it, before anything is written
    cfg, t = ModelConfig.from_mapping(config.model.to_dict()), config.train
    if min(t.batch, t.steps, t.save_every, t.log_every) < 1:
        raise InputError("config.train: batch, steps, save_every, log_every start at 1")
    rule, decay = rules(t), average.decay(t)
    weights, mesh = loss_weights(t), run_mesh(t)
    tx = optimiser(t, cfg, mesh)
    if t.batch % leaves_of(cfg, t.batch_shards, mesh):
        raise InputError(
            f"train.batch={t.batch}; use a multiple of train.batch_shards={t.batch_shards}"
        )
    like = described_state(cfg, tx, mesh)
    held = [like, average.described(like.params)] if decay else [like]
    check_room(held, list(mesh.local_devices) if mesh else jax.local_devices()[:1])
    checkpoints = Checkpoints(workdir)
    latest = checkpoints.newest_whole()
    state = None if latest is not None else _fresh(config, cfg, tx, init, mesh)
    if hosts.is_first():
        make_workdir(workdir, config)
        if init and latest is None:
            bring_along(workdir, init)
        cut_logs(workdir, latest or 0)
        lines.cut(workdir / "losses.jsonl", latest or 0)
    hosts.barrier("workdir made")
    make = row_maker(config, cfg, workdir)
    position: dict[str, Any] = {"next_row": 0, "guard": None, "ema": False}
    key, ema = jax.random.key(t.seed + 1), None
    if latest is not None:
        position = checkpoints.restore_position(latest)
        state, ema = _restored(checkpoints, latest, like, position["ema"])
        key = jax.random.wrap_key_data(jnp.array(position["key"], jnp.uint32))
        if hosts.is_first():
            print(f"resumed at step {latest}", flush=True)
    else:
        assert state is not None
        if (np.asarray(state.params["flow"]["std"]) == 1).all():  # as initialised: none yet
            state = with_statistics(state, make)
    if decay and ema is None:
        ema = average.begin(state.params)
    feed = Feed(
        make, t.batch, config.data.workers, mesh, workdir, latest or 0, position["next_row"]
    )
    return Run(
        cfg, t, mesh, tx, weights, make, checkpoints, feed,
        Guard(rule, position["guard"]), key, state, ema if decay else None,
    )  # fmt: skip


def _fresh(
    config: ConfigDict,
    cfg: ModelConfig,
    tx: optax.GradientTransformation,
    init: str | None,
    mesh: Mesh | None,
) -> TrainState:
    if init is None:
        return create(cfg, tx, config.train.seed, mesh)
    return begun(begin_from(init, cfg, mesh), cfg, tx, mesh)


def _restored(
    checkpoints: Checkpoints, step: int, like: TrainState, averaged: bool
) -> tuple[TrainState, Params | None]:
    """State, and average of the parameters if the checkpoint has one, read to where the
    mesh wants them: no host holds more than its part."""
    tree = like._asdict()
    if averaged:
        tree |= {"ema": average.described(like.params)}
    out = checkpoints.restore_state(step, tree)
    ema = out.pop("ema", None)
    return TrainState(**out), ema


def row_maker(config: ConfigDict, cfg: ModelConfig, workdir: Path | None = None) -> Maker:
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
    if math.prod(sizes.values()) == 1 and jax.process_count() == 1:
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


def with_statistics(state: TrainState, make: Maker) -> TrainState:
    """Mean and deviation of the agent's mel per channel, frozen in the flow head."""
    rows = [make.map(i) for i in range(STATISTICS_ROWS)]
    voice = np.concatenate([r["voice"][r["voice_at"] >= 0] for r in rows])
    if not len(voice):
        raise InputError(f"data: no agent speech in the first {len(rows)} rows; add some")
    frames, flow = voice.reshape(-1, MELS), state.params["flow"]

    def spread(x: np.ndarray, old: jax.Array) -> jax.Array:
        whole = np.tile(x, PATCH_FRAMES).astype(old.dtype)  # every host makes all of it
        return jax.make_array_from_callback(old.shape, old.sharding, lambda at: whole[at])

    mean = spread(frames.mean(0), flow["mean"])
    std = spread(np.maximum(frames.std(0), 0.05), flow["std"])
    flow = flow | {"mean": mean, "std": std}
    return state._replace(params=state.params | {"flow": flow})


SAME = (
    "vocab_used", "window", "log_floor", "log_alpha", "norm_eps", "logit_divisor",
    "experts_per_token", "route_scale",
)  # fmt: skip
"""Config fields that no shape shows and weights depend on."""


def begin_from(name_or_path: str, cfg: ModelConfig, mesh: Mesh | None) -> Params:
    """Parameters of another model of the same sizes, in this run's dtypes, read to where
    the mesh wants them: no host holds more than its part. The router's bias and the flow
    head's statistics come along."""
    other, specs = config_of(locate(name_or_path)), model.specs(cfg)
    mine, theirs = flatten(specs), flatten(model.specs(other))
    for name in mine | theirs:
        if name not in mine or name not in theirs or mine[name].shape != theirs[name].shape:
            raise InputError(
                f"--init={name_or_path}: {name} does not fit config.model; use a model "
                "trained with these sizes"
            )
    for name in SAME:
        here, there = getattr(cfg, name), getattr(other, name)
        if here != there:
            raise InputError(
                f"--init={name_or_path}: trained with model.{name}={there}, config says "
                f"{here}; use the same"
            )
    params = open_package(name_or_path, shardings(cfg, mesh) if mesh else None).params
    return jax.tree.map(lambda s, p: p.astype(s.dtype), specs, params, is_leaf=is_spec)


def bring_along(workdir: Path, name_or_path: str) -> None:
    """The tokenizer and the `source/` of an imported model, for the run and its export."""
    path = locate(name_or_path)
    if (path / SOURCE).is_dir():
        shutil.copytree(path / SOURCE, workdir / SOURCE, dirs_exist_ok=True)
        if (path / "tokenizer.json").is_file():
            shutil.copyfile(path / "tokenizer.json", workdir / "tokenizer.json")
