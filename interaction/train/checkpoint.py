"""Checkpoints of a run: state and data position together, through orbax only here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grain
import jax
import orbax.checkpoint as ocp

from interaction.errors import InputError
from interaction.train.state import TrainState


class Checkpoints:
    """Numbered checkpoints in `workdir/checkpoints`; a save is whole or absent."""

    def __init__(self, workdir: Path, keep: int = 2) -> None:
        self._manager = ocp.CheckpointManager(
            (workdir / "checkpoints").absolute(),
            item_names=("state", "data"),
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep, enable_async_checkpointing=True
            ),
        )

    @property
    def latest(self) -> int | None:
        return self._manager.latest_step()

    def save(self, step: int, state: TrainState, iterator: Any) -> None:
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state._asdict()),
                data=grain.checkpoint.CheckpointSave(iterator),
            ),
        )

    def restore(self, step: int, state: TrainState, iterator: Any) -> TrainState:
        """State of `step`, shaped and placed like `state`; `iterator` moves there too."""
        like = jax.tree.map(ocp.utils.to_shape_dtype_struct, state._asdict())
        try:
            out = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(like),
                    data=grain.checkpoint.CheckpointRestore(iterator),
                ),
            )
        except (ValueError, KeyError) as error:
            raise InputError(
                f"checkpoint {step} does not fit this config ({error}); "
                "use the config it was trained with, or another --workdir"
            ) from None
        return TrainState(**out["state"])

    def close(self) -> None:
        """Wait for saves under way."""
        self._manager.wait_until_finished()
        self._manager.close()


def restore_params(workdir: Path) -> tuple[int, Any]:
    """Step and parameters, as numpy arrays, of a run's last checkpoint; reads while the
    run goes on. Raises InputError when there is none."""
    directory = (workdir / "checkpoints").absolute()
    manager = ocp.CheckpointManager(
        directory,
        item_names=("state",),
        options=ocp.CheckpointManagerOptions(read_only=True),
    )
    step = manager.latest_step()
    if step is None:
        raise InputError(f"no whole checkpoint in {directory}; train there first")
    handler = ocp.PyTreeCheckpointer()
    tree = handler.restore(directory / str(step) / "state")
    manager.close()
    return step, tree["params"]
