"""The processes of a run: how they find each other, agree, and leave.

One process a host. All of them run the same program; only the first writes what there is
one of. Where there is one process, nothing here costs or does anything.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
import traceback
from collections.abc import Callable

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from interaction.errors import InputError
from interaction.parallel.mesh import virtual_devices

VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
BARRIER_S = 3600  # a host may compile, or read its share of a checkpoint, for long


def join(devices: int) -> None:
    """Start JAX as one of several processes, before anything else uses it.

    With the three environment variables set, as they say; with none, as the platform says
    (Cloud TPU, SLURM, GKE). On the CPU a process gets its part of `devices` virtual
    ones, or JAX_NUM_CPU_DEVICES. Raises InputError when it fails.
    """
    values = [os.environ.get(name) for name in VARIABLES]
    given = [name for name, value in zip(VARIABLES, values, strict=True) if value]
    if given and len(given) < len(VARIABLES):
        missing = ", ".join(set(VARIABLES) - set(given))
        raise InputError(f"--distributed: {missing} not set; set all three or none")
    try:
        if given:
            address, count, number = str(values[0]), *map(int, values[1:])  # type: ignore[arg-type]
            if "JAX_NUM_CPU_DEVICES" not in os.environ:
                virtual_devices(max(devices // max(count, 1), 1))
            jax.distributed.initialize(address, count, number)
        else:
            jax.distributed.initialize()
    except (ValueError, TypeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"--distributed: {reason}; set {', '.join(VARIABLES)} where the platform does "
            "not say who is there, or leave the option out on one host"
        ) from None


def is_first() -> bool:
    return jax.process_index() == 0


_barriers = itertools.count()


def barrier(what: str) -> None:
    """Wait for the others, by the network and not on the devices: before they begin a sum
    together, for they wait there for seconds only (on CPUs: 30)."""
    if jax.process_count() > 1:
        sync = ocp.multihost.get_barrier_sync_fn()
        key = f"interaction {what} {next(_barriers)}"  # each name serves once
        sync(key=key, timeout_ms=1000 * BARRIER_S)


def anywhere(flag: bool) -> bool:
    """Whether it is so on any host."""
    if jax.process_count() == 1:
        return flag
    barrier("anywhere")
    return bool(multihost_utils.process_allgather(np.array(flag)).any())


def first_says(number: int) -> int:
    """The first host's number, on all."""
    if jax.process_count() == 1:
        return number
    barrier("first says")
    return int(multihost_utils.broadcast_one_to_all(np.int32(number)))


class Tally:
    """What all hosts have to know of a step: whether any was asked to stop, and how many
    positions the batch had.

    One tiny program a step on the devices, dispatched behind the step and fetched with its
    losses while the next one runs: no host waits for another, and all read the same
    numbers, so they stop at the same step.
    """

    def __init__(self, mesh: Mesh | None) -> None:
        self._mesh = mesh
        if mesh is not None:
            self._by_device = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
            self._sum = jax.jit(
                lambda stop, n: {"stop": stop.max(), "positions": n.sum()},
                out_shardings=NamedSharding(mesh, PartitionSpec()),
            )

    def __call__(self, stop: bool, n_valid: jax.Array | np.ndarray) -> dict:
        """stop: this host's. n_valid: int32 [rows of the batch]."""
        if self._mesh is None:
            return {"stop": stop, "positions": n_valid.sum()}
        flags = jax.make_array_from_callback(
            (self._mesh.size,), self._by_device, lambda _: np.array([stop], np.int32)
        )
        return self._sum(flags, n_valid)


def local(tree):
    """Arrays of a mesh of several processes, whole and on this host: numpy. Every host
    must ask."""
    if jax.process_count() == 1:
        return tree
    return multihost_utils.process_allgather(tree, tiled=True)


def leave_at_once(run: Callable[[], int]) -> int:
    """run(); where it fails, this process ends without a word to the others.

    They wait for it in the middle of a sum; JAX's own way out would wait for them.
    """
    try:
        return run()
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
