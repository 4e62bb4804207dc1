"""How fast a run goes: positions a second, share of the chips' peak, time left."""

from __future__ import annotations

import time
from collections.abc import Sequence

import jax

from interaction.chips import peak_flops
from interaction.config import ModelConfig
from interaction.counts import parts


def flop_per_position(cfg: ModelConfig) -> float:
    """6 for each parameter that a position uses, forward and backward. The products of
    attention are left out, and so is what `remat` computes twice: this is work of the
    model, not of the machine."""
    return 6.0 * sum(part.active for part in parts(cfg))


def peak_flop_per_s(devices: list[jax.Device]) -> float | None:
    """Of all chips together; None where the kind is in no table (a CPU). A chip may show
    as two devices, which share its coordinates."""
    peak = peak_flops(devices[0].device_kind)
    if peak is None:
        return None
    chips = {
        (d.process_index, getattr(d, "slice_index", 0), str(getattr(d, "coords", d.id)))
        for d in devices
    }
    return peak * len(chips)


def memory_bytes(devices: Sequence[jax.Device] | None = None) -> dict[str, int]:
    """Memory of the fullest of the devices (this host's): in use now, most so far. Empty
    where the platform does not say."""
    devices = jax.local_devices() if devices is None else devices
    found = [stats for d in devices if (stats := d.memory_stats())]
    names = [n for n in ("bytes_in_use", "peak_bytes_in_use") if found and n in found[0]]
    return {name: max(stats[name] for stats in found) for name in names}


class Clock:
    """Rates between two lines of the log."""

    def __init__(self, step: int, steps: int, flop: float, peak: float | None) -> None:
        self._first, self._steps = step, steps
        self._flop, self._peak = flop, peak
        self._began = self._last = time.monotonic()
        self._positions = 0
        self._wait_s = 0.0

    def add(self, positions: int, wait_s: float) -> None:
        self._positions += positions
        self._wait_s += wait_s

    def read(self, step: int) -> dict[str, float]:
        """positions_per_s, data_wait (share of the time), eta_s; mfu where there is a
        peak. Since the last time it was read."""
        now = time.monotonic()
        spent = max(now - self._last, 1e-9)
        rate = self._positions / spent
        each = (now - self._began) / max(step - self._first, 1)
        found = {
            "positions_per_s": rate,
            "data_wait": min(self._wait_s / spent, 1.0),
            "eta_s": each * (self._steps - step),
        }
        if self._peak:
            found["mfu"] = rate * self._flop / self._peak
        self._last, self._positions, self._wait_s = now, 0, 0.0
        return found
