"""Steps that must not count: a loss that is not finite, or far above the ones before."""

from __future__ import annotations

import statistics
from collections import deque
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from interaction.errors import InputError
from interaction.train.state import TrainState, train_step


class Rules(NamedTuple):
    """Those of a config's `train`."""

    on_bad_step: str = "stop"  # or "skip": the state stays as it was, the run goes on
    bad_steps: int = 10  # skipped steps in a row; one more stops the run
    spike: float = 0.0  # a loss so many times the median is bad; 0: none is
    spike_window: int = 100  # steps of that median; the rule begins when there are so many


def rules(train: ConfigDict) -> Rules:
    """Raises InputError for a value that is no rule."""
    found = Rules(**{name: train[name] for name in Rules._fields if name in train})
    if found.on_bad_step not in ("stop", "skip"):
        raise InputError(f"train.on_bad_step={found.on_bad_step}; use stop or skip")
    if found.bad_steps < 0 or found.spike_window < 1:
        raise InputError("train.bad_steps starts at 0, train.spike_window at 1")
    if found.spike and found.spike <= 1:
        raise InputError(f"train.spike={found.spike}; use 0, or a factor above 1")
    return found


class Guard:
    """Judges steps in order, from numbers that all hosts share. What it remembers is part
    of a checkpoint, so that a resumed run judges as an undisturbed one."""

    def __init__(self, rules: Rules, memory: dict[str, Any] | None = None) -> None:
        memory = memory or {"losses": [], "bad": 0}
        self._rules = rules
        # One more than the median takes: see `limit`.
        losses = ((step, loss) for step, loss in memory["losses"])
        self._losses = deque(losses, maxlen=rules.spike_window + 1)
        self._bad: int = memory["bad"]

    @property
    def memory(self) -> dict[str, Any]:
        """JSON."""
        return {"losses": [list(pair) for pair in self._losses], "bad": self._bad}

    def limit(self, step: int) -> np.float32:
        """The loss above which a step is bad. From steps up to the one before the last: a
        step is given to the devices before the last one's loss is here."""
        known = [loss for s, loss in self._losses if s <= step - 2]
        known = known[-self._rules.spike_window :]
        if not self._rules.spike or len(known) < self._rules.spike_window:
            return np.float32(np.inf)
        return np.float32(self._rules.spike * statistics.median(known))

    def judge(self, step: int, finite: bool, loss: float, rows: str) -> str | None:
        """Why a step was skipped; None for a good one. Raises FloatingPointError where the
        rules say stop, naming the rows of its batch."""
        limit = self.limit(step)
        if finite and not np.float32(loss) > limit:
            if self._rules.spike:
                self._losses.append((step, loss))
            self._bad = 0
            return None
        why = (
            f"loss {loss:.4g} above {limit:.4g}, {self._rules.spike:g} times the median "
            f"of the last {self._rules.spike_window}"
            if finite
            else "loss or gradient not finite"
        )
        self._bad += 1
        if self._rules.on_bad_step == "stop":
            mend = "skip such steps with --config.train.on_bad_step=skip"
        elif self._bad > self._rules.bad_steps:
            mend = f"{self._bad} bad steps in a row, train.bad_steps allows fewer"
        else:
            return why
        raise FloatingPointError(
            f"{why} at step {step}, rows {rows}; {mend}; the last checkpoint is from before"
        )


def _limited(
    state: TrainState, batch: dict, key: jax.Array, limit: float, *args: Any, **kwargs: Any
) -> tuple[TrainState, dict[str, jax.Array]]:
    new, values = train_step(state, batch, key, *args, **kwargs)
    good = ~(values["loss"] > limit)
    keep = lambda new, old: jnp.where(good, new, old)  # noqa: E731
    params = jax.tree.map(keep, new.params, state.params)
    opt = jax.tree.map(keep, new.opt, state.opt)
    return new._replace(params=params, opt=opt), values


limited_step = jax.jit(
    _limited,
    static_argnames=("cfg", "tx", "weights", "remat", "mesh", "batch_shards"),
    donate_argnames="state",
)
"""`train_step` that leaves the state as it was where the loss is above `limit`. A program
of its own: two states live at once until the loss is known."""
