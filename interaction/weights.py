"""Parameters on disk: one tensor a layer, whatever groups of layers a config scans over.

In memory, `layers[segment][run]` stacks layers along a leading axis; on
disk layer n's tensors are `layers.n.…`, so that a file outlives any regrouping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from interaction import model
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.params import Params, Spec, flatten, unflatten_like
from interaction.tensors import CODES, Entry, ShardWriter, TensorFiles, plan_shards

Shardings = Mapping[str, jax.sharding.Sharding]  # by name in memory


def names_on_disk(cfg: ModelConfig, name: str) -> list[str]:
    """A parameter's name in memory (dotted) -> its name on disk, one a repeat."""
    head, *rest = name.split(".")
    if head != "layers":
        return [name]
    s, i, *rest = rest
    numbers = cfg.stacks[int(s)][int(i)]
    return [".".join(("layers", str(n), *rest)) for n in numbers]


def specs_on_disk(cfg: ModelConfig) -> dict[str, Spec]:
    """Every tensor of a model's file, layers in order."""
    flat: dict[str, Spec] = {}
    for name, spec in flatten(model.specs(cfg)).items():
        names = names_on_disk(cfg, name)
        if name.startswith("layers."):  # without the repeat axis
            spec = Spec(spec.shape[1:], spec.axes[1:], spec.init, spec.dtype)
        flat |= dict.fromkeys(names, spec)
    number = lambda n: int(n.split(".")[1]) if n.startswith("layers.") else -1  # noqa: E731
    return {name: flat[name] for name in sorted(flat, key=number)}


def check(files: TensorFiles, cfg: ModelConfig, path: Path) -> None:
    """Raises InputError naming the first tensor that is missing or does not fit."""
    for name, spec in specs_on_disk(cfg).items():
        entry = files.entries.get(name)
        if entry is None:
            raise InputError(f"{path} lacks {name}; export it again")
        if entry.shape != spec.shape or entry.dtype not in ("F32", "BF16"):
            raise InputError(
                f"{path}: {name} is {entry.dtype}{list(entry.shape)}, config.json says "
                f"{list(spec.shape)} in F32 or BF16; use the config it was trained with"
            )


def load(
    files: TensorFiles, cfg: ModelConfig, shardings: Shardings | None = None
) -> Params:
    """Parameters in the dtypes they are stored in. With `shardings`, every device reads
    its own part and nothing else."""
    flat = {}
    for name, spec in flatten(model.specs(cfg)).items():
        read = _reader(files, names_on_disk(cfg, name), name.startswith("layers."))
        if shardings is None:
            flat[name] = jnp.asarray(read((slice(None),) * len(spec.shape)))
        else:
            flat[name] = jax.make_array_from_callback(
                spec.shape,
                shardings[name],
                read,  # type: ignore[arg-type]  # an index of None is declared, never passed
            )
    return unflatten_like(model.specs(cfg), flat)


def _reader(
    files: TensorFiles, names: list[str], stacked: bool
) -> Callable[[tuple[slice, ...]], np.ndarray]:
    """Part of an array in memory, by numpy index, from the tensors that it stacks."""
    if not stacked:
        return lambda index: files.read(names[0], index)
    return lambda index: np.stack([files.read(n, index[1:]) for n in names[index[0]]])


def arrays(params: Params, cfg: ModelConfig) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor as it is stored, one at a time."""
    for name, array in flatten(params).items():
        names = names_on_disk(cfg, name)
        stacked = name.startswith("layers.")
        for r, stored in enumerate(names):
            yield stored, np.asarray(array[r] if stacked else array)


def save(directory: Path, cfg: ModelConfig, params: Params) -> None:
    """Write the tensors of a model into a directory, in their own dtypes."""
    dtypes: dict[str, str] = {}
    for name, array in flatten(params).items():
        dtypes |= dict.fromkeys(names_on_disk(cfg, name), CODES[np.dtype(array.dtype)])
    specs = specs_on_disk(cfg)
    entries = {name: Entry(dtypes[name], spec.shape) for name, spec in specs.items()}
    writer = ShardWriter(directory, plan_shards(entries))
    try:
        for name, array in arrays(params, cfg):
            writer.write(name, array)
    finally:
        writer.close()
