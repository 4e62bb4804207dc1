"""Run recorded sessions again, teacher-forced, in one forward: the same bits.

    python -m interaction.score --checkpoint=nano talk.record.safetensors ...

Every token's log-probability and every patch of the voice, drawn from the session's own
noise, are computed by the `forward` that training uses and compared with what the session
recorded. Any batch of sessions, any mesh. Exit status 1 when a bit differs.
"""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from interaction import model, ops
from interaction.config import ModelConfig
from interaction.errors import InputError, run_command
from interaction.grammar import EMITTED, Kind
from interaction.layers import flow
from interaction.modality.audio import PATCH_DIM
from interaction.model import Block
from interaction.ops.rows import log_softmax
from interaction.parallel.mesh import (
    first_devices,
    mesh_sizes,
    row_devices,
    virtual_devices,
)
from interaction.parallel.placement import BY_ROW, of_params, over, place_params
from interaction.params import Array, Params
from interaction.record import Record, load, turn_of

UNIT = 64  # lengths are rounded up to this, so that few programs are compiled


class Choices(NamedTuple):
    """Where the model chose a token. at: positions int [N]; phase, texts: the state of
    the grammar there; token: what it chose."""

    at: Array
    phase: Array
    texts: Array
    token: Array


class Draws(NamedTuple):
    """Where the voice was drawn. at: positions int [O]; previous: float32 [O, 320]; turn
    and step: what the noise's key is made of."""

    at: Array
    previous: Array
    turn: Array
    step: Array


def choices(block: Block) -> Choices:
    """The choices of a block of one session."""
    kinds, tokens = block.kind[0], block.token[0]
    found, phase, texts = [], 0, 0
    for t, kind in enumerate(kinds):
        if kind not in EMITTED:
            phase = texts = 0
            continue
        found.append((t, phase, texts, tokens[t]))
        phase = 2 if kind == Kind.DELEGATE else 1
        texts += kind == Kind.TEXT
    return Choices(*np.array(found, np.int32).reshape(-1, 4).T)


def draws(block: Block) -> Draws:
    """The draws of a block of one session. A patch follows the one before it if that was
    spoken in the same or the last micro-turn."""
    kinds, turn = block.kind[0], turn_of(block)
    emitted = np.isin(kinds, (*EMITTED, Kind.AUDIO_OUT))
    first = np.full(turn[-1] + 1, len(kinds))
    np.minimum.at(first, turn[emitted], np.flatnonzero(emitted))
    at = np.flatnonzero(kinds == Kind.AUDIO_OUT)
    before = np.zeros((len(at), PATCH_DIM), np.float32)
    goes_on = np.flatnonzero(np.diff(turn[at]) <= 1) + 1
    before[goes_on] = block.voice[0, goes_on - 1]
    return Draws(at, before, turn[at], at - first[turn[at]])


def chosen_logp(
    params: Params,
    hidden: jax.Array,
    phase: Array,
    texts: Array,
    token: Array,
    *,
    cfg: ModelConfig,
) -> jax.Array:
    """Log-probability of tokens among those that the grammar allows. hidden [..., D], the
    others [...] -> float32 [...]."""
    logits = model.allowed_logits(params, cfg, hidden, phase, texts)
    logp = log_softmax(ops.of(cfg), logits)
    return jnp.take_along_axis(logp, token[..., None], axis=-1)[..., 0]


def noise(seed: Array, turn: Array, step: Array) -> jax.Array:
    """What a patch was drawn from. -> float32 [320]."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), turn), step)
    return jax.random.normal(key, (PATCH_DIM,))


class Scores(NamedTuple):
    """logp: float32 [T], NaN where nothing was chosen; patches: float32 [O, 320], the
    voice drawn again."""

    logp: np.ndarray
    patches: np.ndarray


@functools.partial(jax.jit, static_argnames=("cfg", "mesh"))
def _score(params: Params, batch: Batch, *, cfg: ModelConfig, mesh: Mesh | None):
    run = functools.partial(_score_part, cfg)
    ins = (of_params(cfg, mesh), BY_ROW)
    return over(mesh, run, ins, BY_ROW)(params, batch)


def _score_part(
    cfg: ModelConfig, params: Params, batch: Batch
) -> tuple[jax.Array, jax.Array]:
    params = model.whole(params, cfg)
    block, chosen, drawn, seed_B = jax.tree.map(jnp.asarray, batch)
    hidden = model.forward(params, cfg, block).hidden

    def before(at: jax.Array) -> jax.Array:
        return jnp.take_along_axis(hidden, at[..., None] - 1, axis=1)

    logp = chosen_logp(
        params, before(chosen.at), chosen.phase, chosen.texts, chosen.token, cfg=cfg
    )

    by_patch = jax.vmap(noise, (None, 0, 0))
    z = jax.vmap(by_patch)(seed_B, drawn.turn, drawn.step)
    patches = flow.sample(params["flow"], cfg, before(drawn.at), drawn.previous, z)
    return logp, patches


def _fit(x: np.ndarray, n: int, axis: int) -> np.ndarray:
    pad = [(0, 0)] * x.ndim
    pad[axis] = (0, n - x.shape[axis])
    return np.pad(x, pad)


class Batch(NamedTuple):
    """Records side by side: one block [B, T], and what was chosen and drawn in it."""

    block: Block
    chosen: Choices
    drawn: Draws
    seeds: np.ndarray


def side_by_side(records: Sequence[Record], rows: int = 1) -> Batch:
    """Padded records; the last one again until there is a multiple of `rows`."""
    records = [*records] + [records[-1]] * (-len(records) % rows)
    size = lambda values: -(-max(values) // UNIT) * UNIT  # noqa: E731
    T = size([r.block.kind.shape[1] for r in records])
    parts = []
    for name in Block._fields[:-1]:
        arrays = [getattr(r.block, name) for r in records]
        n = T if arrays[0].ndim == 2 else size([a.shape[1] for a in arrays])
        parts.append(np.concatenate([_fit(a, n, 1) for a in arrays]))
    n_valid = np.concatenate([r.block.n_valid for r in records])

    def stacked(kind: type, found: list) -> Any:
        n = max(size([len(f.at) for f in found]), UNIT)
        fields = zip(*found, strict=True)
        arrays = [np.stack([_fit(x, n, 0) for x in field]) for field in fields]
        arrays[0] = np.maximum(arrays[0], 1)  # `at` of the padding
        return kind(*arrays)

    chosen = stacked(Choices, [choices(r.block) for r in records])
    drawn = stacked(Draws, [draws(r.block) for r in records])
    seeds = np.array([r.seed for r in records])
    return Batch(Block(*[*parts, n_valid]), chosen, drawn, seeds)


def score(
    params: Params, cfg: ModelConfig, records: Sequence[Record], mesh: Mesh | None = None
) -> list[Scores]:
    """Score recorded sessions together, on a mesh if given."""
    if not records:
        raise InputError("score: no records; give one or more")
    batch = side_by_side(records, row_devices(mesh))
    params = place_params(params, cfg, mesh)
    logp, patches = _score(params, batch, cfg=cfg, mesh=mesh)
    logp, patches = np.asarray(logp), np.asarray(patches)
    found = []
    for i, record in enumerate(records):
        at = choices(record.block).at
        line = np.full(len(record.logp), np.nan, np.float32)
        line[at] = logp[i, : len(at)]
        found.append(Scores(line, patches[i, : record.block.voice.shape[1]]))
    return found


def differing(a: np.ndarray, b: np.ndarray) -> int:
    """Elements of two arrays of one shape and dtype whose bits differ."""
    raw = lambda x: np.ascontiguousarray(x).reshape(-1).view(np.uint8)  # noqa: E731
    a_bytes, b_bytes = (raw(x).reshape(x.size, -1) for x in (a, b))
    return int((a_bytes != b_bytes).any(1).sum())


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m interaction.score",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("records", nargs="+", type=Path, help="files that --record wrote")
    parser.add_argument("--checkpoint", default="nano", help="name or directory")
    parser.add_argument("--mesh", help="axis=devices,… such as fsdp=2,tensor=4")
    args = parser.parse_args()
    from interaction.package import open_package

    mesh = None
    if args.mesh:
        sizes = mesh_sizes(args.mesh)
        virtual_devices(math.prod(sizes.values()))
        mesh = first_devices(sizes)
    package = open_package(args.checkpoint)
    records = [load(path) for path in args.records]
    found = score(package.params, package.cfg, records, mesh)
    bad = 0
    for path, record, scores in zip(args.records, records, found, strict=True):
        chosen = ~np.isnan(record.logp)
        tokens = differing(record.logp[chosen], scores.logp[chosen])
        voice = differing(np.asarray(record.block.voice[0]), scores.patches)
        bad += tokens + voice
        print(
            f"{path}: {tokens} of {chosen.sum()} log-probabilities and {voice} of "
            f"{scores.patches.size} voice values differ; mean log-probability "
            f"{scores.logp[chosen].mean():.4f}"
        )
    return int(bad > 0)


if __name__ == "__main__":
    run_command(main)
