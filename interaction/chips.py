"""Accelerators as their makers describe them.

TPUs, per chip, from the pages of Cloud TPU's documentation
(docs.cloud.google.com/tpu/docs/v5e, v5p, v6e, tpu7x; read in 2026): peak bf16, HBM and its
bandwidth, bidirectional ICI bandwidth and the ports that it is the sum of, data-center
network. Of HBM it is what a program may take, as the compiler's refusals say (of libtpu
0.0.42). GPUs have their peak only, from NVIDIA's product pages (SXM modules).
"""

from __future__ import annotations

from typing import NamedTuple

from interaction.errors import InputError


class Chip(NamedTuple):
    """flops: bf16, a second; hbm_bytes; hbm, ici, dcn: bytes a second, ici of one port in
    one direction. kinds: what JAX calls its devices; devices: that it shows of a chip."""

    flops: float
    hbm_bytes: float
    hbm: float
    ici: float
    dcn: float
    kinds: tuple[str, ...]
    devices: int = 1

    def ici_or_dcn(self, far: bool) -> float:
        return self.dcn if far else self.ici


GIB = 2**30

CHIPS = {
    "v5e": Chip(197e12, 15.75 * GIB, 819e9, 400e9 / 4 / 2, 200e9 / 8 / 8,
                ("TPU v5 lite", "TPU v5e")),
    "v5p": Chip(459e12, 95.74 * GIB, 2765e9, 1200e9 / 6 / 2, 50e9 / 8,
                ("TPU v5", "TPU v5p")),
    "v6e": Chip(918e12, 31.25 * GIB, 1638e9, 800e9 / 4 / 2, 800e9 / 8 / 8,
                ("TPU v6 lite", "TPU v6e")),
    "tpu7x": Chip(2307e12, 189.5 * GIB, 7380e9, 1200e9 / 6 / 2, 100e9 / 8,
                  ("TPU7x",), devices=2),
}  # fmt: skip

GPU_FLOPS = {"H100": 989e12, "H200": 989e12}
"""bf16 without sparsity, a second, by what a GPU's kind contains."""


def chip_of(topology: str) -> Chip:
    """That of `v5p:8x8x8`. Raises InputError for a kind that is not in the table."""
    kind = topology.split(":")[0]
    if kind not in CHIPS:
        raise InputError(f"topology {topology}: kinds are {', '.join(CHIPS)}")
    return CHIPS[kind]


def peak_flops(device_kind: str) -> float | None:
    """bf16, a second, of the chip that JAX calls so; None where it is in no table."""
    for chip in CHIPS.values():
        if device_kind in chip.kinds:
            return chip.flops
    return next((flops for name, flops in GPU_FLOPS.items() if name in device_kind), None)
