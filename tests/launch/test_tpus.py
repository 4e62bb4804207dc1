"""Shapes of slices, against the tables of cloud.google.com/tpu/docs."""

from __future__ import annotations

import pytest

from interaction.errors import InputError
from launch import tpus


@pytest.mark.parametrize(
    "text, chips, name, hosts, nodes",
    [  # name, and hosts as TPU VMs and as nodes on GKE
        ("v5p:2x2x1", 4, "v5p-8", 1, 1),
        ("v5p:2x4x4", 32, "v5p-64", 8, 8),
        ("v5p:8x8x8", 512, "v5p-1024", 128, 128),
        ("v5p:16x16x24", 6144, "v5p-12288", 1536, 1536),
        ("v5e:1x1", 1, "v5litepod-1", 1, 1),
        ("v5e:2x4", 8, "v5litepod-8", 1, 2),
        ("v5e:16x16", 256, "v5litepod-256", 64, 64),
        ("v6e:2x2", 4, "v6e-4", 1, 1),
        ("v6e:4x8", 32, "v6e-32", 8, 8),
        ("tpu7x:4x8x8", 256, "tpu7x-512", 64, 64),
        ("tpu7x:1x1x1", 1, "tpu7x-2", 1, 1),
    ],
)
def test_documented_slices(text, chips, name, hosts, nodes):
    part = tpus.parse(text)
    assert (part.chips, part.accelerator_type) == (chips, name)
    assert (part.hosts(gke=False), part.hosts(gke=True)) == (hosts, nodes)
    assert f"{part.type.name}:{part.topology}" == text


@pytest.mark.parametrize(
    "text, says",
    [
        ("v5p:8x8x9", "8x8x8"),
        ("v5p:8x4x4", "near yours are 4x4x8"),
        ("v5p:16x24x24", "up to 6144 chips"),
        ("v5p:8x8", "4x4x4"),
        ("v5p:0x4x4", "4x4x4"),
        ("v5p:x", "2x2x1"),
        ("v6e:16x32", "16x16"),
        ("v6e:4x4x4", "2x2, 2x4, 4x4"),
        ("v3:2x2", "v5e, v5p, v6e, tpu7x"),
        ("v5p", "TYPE:SHAPE"),
    ],
)
def test_illegal_shapes_name_legal_ones(text, says):
    with pytest.raises(InputError, match="--topology") as error:
        tpus.parse(text)
    assert says in str(error.value)


def test_every_type_keeps_its_own_rules():
    for kind in tpus.TYPES.values():
        parts = [tpus.Slice(kind, shape) for shape in kind.shapes]
        assert max(part.chips for part in parts) == kind.max_chips
        for part in parts:
            for gke in (False, True):
                assert part.hosts(gke) * part.chips_per_host(gke) == part.chips
        # A name without a shape means one shape only.
        usual = [part.accelerator_type for part in parts if part.usual]
        assert len(usual) == len(set(usual)) == len({part.chips for part in parts})
