"""Where two settings part: stage by stage through one teacher-forced forward."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from interaction.errors import InputError
from interaction.parallel.mesh import AXES, first_devices, mesh_sizes
from interaction.parity.bits import Found
from interaction.parity.forced import in_blocks, stages, valid
from interaction.parity.subject import Subject
from interaction.score import Batch, differing


class Setting(NamedTuple):
    """How to run. mesh: devices of its axes; session: this one alone; blocks: through
    the cache, in ragged blocks of up to so many positions."""

    numerics: str | None = None
    dtype: str | None = None
    mesh: str | None = None
    session: int | None = None
    blocks: int | None = None


class Stage(NamedTuple):
    """One thing computed in two settings, and how far the two are apart."""

    name: str
    elements: int
    differing: int
    largest: float


def setting(text: str) -> Setting:
    """`numerics=fast,tensor=2,session=1` -> Setting; `reference` is the default one."""
    try:
        parts = [] if text == "reference" else text.split(",")
        given = dict(part.split("=") for part in parts)
        axes = {axis: given.pop(axis) for axis in AXES if axis in given}
        numbers = {k: int(given.pop(k)) for k in ("session", "blocks") if k in given}
        found = Setting(**given, **numbers)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        found = Setting(numerics="")
    if found.numerics not in (None, "fast", "invariant") or (
        found.dtype not in (None, "float32", "bfloat16")
    ):
        raise InputError(
            f"--bisect {text}: write `reference`, or a list of numerics=fast, "
            f"dtype=bfloat16, session=N, blocks=N and devices of {', '.join(AXES)}"
        )
    if axes:
        mesh = ",".join(f"{axis}={n}" for axis, n in axes.items())
        mesh_sizes(mesh)
        found = found._replace(mesh=mesh)
    if axes and (found.session is not None or found.blocks is not None):
        raise InputError(f"--bisect {text}: a mesh runs all sessions whole; drop the rest")
    return found


def _run(subject: Subject, batch: Batch, how: Setting, rows: slice) -> Found:
    """rows: the sessions that are compared; those of `how.session`, where it has one."""
    cfg = dataclasses.replace(
        subject.cfg,
        numerics=how.numerics or subject.cfg.numerics,
        dtype=how.dtype or subject.cfg.dtype,
    )
    subject = subject._replace(cfg=cfg)
    compared = jax.tree.map(lambda x: x[rows], batch)
    batch = batch if how.session is None else compared
    if how.blocks is not None:
        found = in_blocks(subject, batch.block, how.blocks, 0)
    else:
        mesh = first_devices(mesh_sizes(how.mesh)) if how.mesh else None
        found = stages(subject, batch, mesh)
    if how.session is None:
        found = {name: x[rows] for name, x in found.items()}
    return valid(found, compared)


def bisect(subject: Subject, batch: Batch, a: Setting, b: Setting) -> Iterator[Stage]:
    """Every stage that both settings have, in order of computation.

    Where one setting runs one session alone, that session is compared.
    """
    one = {s.session for s in (a, b) if s.session is not None}
    if len(one) > 1 or not one <= set(range(len(batch.seeds))):
        raise InputError(f"session {sorted(one)}: name one of {len(batch.seeds)}")
    rows = slice(min(one), min(one) + 1) if one else slice(None)
    left, right = (_run(subject, batch, s, rows) for s in (a, b))
    for name, x in left.items():
        if name not in right:
            continue
        y = right[name]
        wide = [np.asarray(v).astype(np.float32) for v in (x, y)]
        same = x.dtype == y.dtype
        n = differing(x, y) if same else differing(*wide)
        yield Stage(name, x.size, n, float(np.abs(wide[0] - wide[1]).max(initial=0)))
