"""Peaks by what JAX calls a device: libtpu's own names for TPUs."""

from __future__ import annotations

import types

import pytest

from interaction import pod
from interaction.chips import CHIPS, peak_flops
from interaction.train.speed import peak_flop_per_s


@pytest.mark.parametrize(
    ("topology", "chips"),
    [("v5e:2x2", 4), ("v5p:2x2x1", 4), ("v6e:2x4", 8), ("tpu7x:2x2x1", 4)],
)
def test_a_pod_has_the_peak_of_its_chips(topology, chips):
    peak = CHIPS[topology.split(":")[0]].flops
    assert peak_flop_per_s(pod.pod_devices(topology)) == chips * peak


@pytest.mark.parametrize(
    ("kind", "flops"),
    [
        ("TPU v5p", 459e12),
        ("TPU v6e", 918e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H200", 989e12),
        ("cpu", None),
        ("TPU v4", None),
    ],
)
def test_a_kind_has_its_peak_or_none(kind, flops):
    assert peak_flops(kind) == flops
    device = types.SimpleNamespace(device_kind=kind, process_index=0, id=0)
    assert peak_flop_per_s([device]) == flops
