"""Whether there is room for what a run keeps, asked before any of it is made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import jax

from interaction.errors import InputError
from interaction.parallel.placement import held_bytes

MEND = (
    "use more or larger devices: python -m interaction.plan --config=… --mode=train "
    "--topology=… --search ranks the meshes that fit"
)


def check_room(kept: Any, devices: Sequence[jax.Device]) -> None:
    """kept: described arrays that live as long as the run; devices: this host's. Raises
    InputError where these alone do not fit. A step needs more, which only its compiled
    program tells."""
    need = held_bytes(kept)
    if devices[0].platform == "cpu":  # virtual devices, in one memory
        need *= len(devices)
        room = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        where = f"on the {len(devices)} devices of this machine, which has"
    else:
        room = (devices[0].memory_stats() or {}).get("bytes_limit", need)
        where = "on each device, which has"
    if need > room:
        raise InputError(
            f"parameters and moments take {_gib(need)} {where} {_gib(room)}; {MEND}"
        )


def _gib(n: float) -> str:
    return f"{n / 2**30:,.1f} GiB"
