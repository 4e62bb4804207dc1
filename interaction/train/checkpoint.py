"""Checkpoints of a run: state and position together, through orbax only here.

`workdir/checkpoints/STEP` holds two items: `state`, the arrays, each host's part written
by it, for any mesh and number of hosts to read; `position`, a JSON object: the next row of
the data, the run's random key, and what the rules on bad steps remember. A save goes on in
the background and is taken at a restart only if its manifest is there and fits.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from interaction.errors import InputError
from interaction.train import hosts, manifest

KEEP = 2  # whole checkpoints, at least


def _numbered(directory: Path) -> list[int]:
    if not directory.is_dir():
        return []
    return sorted(int(p.name) for p in directory.iterdir() if p.name.isdigit())


def _refuse(directory: Path, why: str) -> None:
    print(f"checkpoint {directory.name} refused: {why} ({directory})", file=sys.stderr)
    sys.stderr.flush()


def _agreed(steps: list[int]) -> list[int]:
    """The checkpoints that the first host sees. Raises InputError where another sees
    others: its workdir is another place."""
    if hosts.anywhere(len(steps) != hosts.first_says(len(steps))):
        raise InputError(
            "hosts see different checkpoints; put --workdir on storage that all share"
        )
    return [hosts.first_says(step) for step in steps]


class Checkpoints:
    """Numbered checkpoints in `workdir/checkpoints`. Every host calls every method."""

    def __init__(self, workdir: Path, keep: int = KEEP) -> None:
        self._directory = (workdir / "checkpoints").absolute()
        self._refused = (workdir / "refused").absolute()
        self._keep = keep
        self._writer: ocp.AsyncCheckpointer | None = None
        self._finishing: threading.Thread | None = None
        self._error: BaseException | None = None
        self.latest: int | None = None  # saved or restored here

    def newest_whole(self) -> int | None:
        """The newest checkpoint whose files are as its manifest says, read in full; None
        where no save has come to its end yet. Those that are newer are refused by name and
        moved to `workdir/refused`. Raises InputError when checkpoints are there and none
        is whole."""
        steps = _agreed(_numbered(self._directory))
        whole = next((step for step in reversed(steps) if self._is_whole(step)), None)
        if whole is None and not self._only_a_first_save(steps):
            raise InputError(
                f"no checkpoint in {self._directory} is whole; put a good copy there, "
                "or begin again in another --workdir"
            )
        if hosts.is_first():
            self._tidy([step for step in steps if whole is None or step > whole])
        hosts.barrier("checkpoints tidied")
        return whole

    def _is_whole(self, step: int) -> bool:
        """Read in full by all hosts, each its share; says why not."""
        directory = self._directory / str(step)
        if not hosts.first_says(manifest.is_finished(directory)):
            if hosts.is_first():
                _refuse(directory, "its save was cut off: no whole manifest")
            return False
        found = manifest.faults(directory, jax.process_index(), jax.process_count())
        for why in found:
            _refuse(directory, why)
        return not hosts.anywhere(bool(found))

    def _only_a_first_save(self, steps: list[int]) -> bool:
        """The second save begins when the first is whole: only a first one may be cut off
        with nothing before it."""
        return not steps or (
            len(steps) == 1
            and not hosts.first_says(manifest.is_finished(self._directory / str(steps[0])))
        )

    def _tidy(self, refused: list[int]) -> None:
        """Out of the way: what was refused, and what a save that was cut off left."""
        for step in refused:
            self._refused.mkdir(exist_ok=True)
            shutil.rmtree(self._refused / str(step), ignore_errors=True)
            os.replace(self._directory / str(step), self._refused / str(step))
        if self._directory.is_dir():
            for path in self._directory.iterdir():
                if not path.name.isdigit():
                    shutil.rmtree(path)

    def save(self, step: int, state: dict[str, Any], position: dict[str, Any]) -> None:
        """Returns when the arrays are copied; they are written in the background."""
        self.wait()
        if self._writer is None:
            self._writer = ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler())
        self._writer.save(
            self._directory / str(step),
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                position=ocp.args.JsonSave(position),
            ),
        )
        self.latest = step
        self._finishing = threading.Thread(target=self._finish, args=(step,))
        self._finishing.start()

    def _finish(self, step: int) -> None:
        try:
            assert self._writer is not None
            self._writer.wait_until_finished()  # on all hosts, and renamed
            manifest.write(
                self._directory / str(step), jax.process_index(), jax.process_count()
            )
            if hosts.is_first():
                self._delete_old()
        except BaseException as error:
            self._error = error

    def _delete_old(self) -> None:
        steps = _numbered(self._directory)
        whole = [s for s in steps if manifest.is_finished(self._directory / str(s))]
        if len(whole) <= self._keep:
            return
        for step in (s for s in steps if s < whole[-self._keep]):
            for part in (self._directory / str(step)).glob("manifest-*.json"):
                part.unlink()  # first, so that what is left does not look damaged
            shutil.rmtree(self._directory / str(step))

    def restore_position(self, step: int) -> dict[str, Any]:
        args = ocp.args.Composite(position=ocp.args.JsonRestore())
        return self._restore(step, args)["position"]

    def restore_state(self, step: int, like: dict[str, Any]) -> dict[str, Any]:
        """like: `ShapeDtypeStruct`s with the shardings to restore to, in a tree. Raises
        InputError when the checkpoint holds another tree or other shapes."""
        args = ocp.args.Composite(state=ocp.args.StandardRestore(like))
        self.latest = step
        return self._restore(step, args)["state"]

    def _restore(self, step: int, args: Any) -> Any:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
            try:
                return reader.restore(self._directory / str(step), args=args)
            except (ValueError, KeyError, FileNotFoundError) as error:
                raise InputError(
                    f"checkpoint {step} does not fit this config ({error}); "
                    "use the config it was trained with, or another --workdir"
                ) from None

    def wait(self) -> None:
        """Until the save under way is whole as far as this host goes; raises what went
        wrong with it."""
        if self._finishing:
            self._finishing.join()
            self._finishing = None
        if self._error:
            error, self._error = self._error, None
            raise error

    def close(self) -> None:
        try:
            self.wait()
        finally:
            if self._writer:
                self._writer.close()


def restore_params(workdir: Path) -> tuple[int, Any]:
    """Step and parameters, as numpy arrays, of a run's last whole checkpoint: their moving
    average where the run keeps one. Reads while the run goes on. Raises InputError when
    there is none."""
    directory = (workdir / "checkpoints").absolute()
    for step in reversed(_numbered(directory)):
        if not manifest.is_finished(directory / str(step)):
            continue  # being saved
        found = manifest.faults(directory / str(step))
        if not found:
            return step, _read_params(directory / str(step) / "state")
        for why in found:
            _refuse(directory / str(step), why)
    raise InputError(f"no whole checkpoint in {directory}; train there first")


def _read_params(path: Path) -> Any:
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
        tree = reader.metadata(path).item_metadata.tree
        name = "ema" if "ema" in tree else "params"
        wanted = {name: tree[name]} | ({"params": tree["params"]} if name == "ema" else {})
        as_numpy = jax.tree.map(
            lambda _: ocp.RestoreArgs(restore_type=np.ndarray), {name: tree[name]}
        )
        out = reader.restore(
            path,
            args=ocp.args.PyTreeRestore(
                item={name: tree[name]}, restore_args=as_numpy, partial_restore=True
            ),
        )
    types = jax.tree.map(lambda m: m.dtype, wanted["params"])
    return jax.tree.map(lambda x, dtype: x.astype(dtype), out[name], types)
