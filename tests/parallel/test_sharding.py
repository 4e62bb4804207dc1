"""Where a parameter lives on a mesh, and what no mesh may do to it."""

from __future__ import annotations

import pytest
from jax.sharding import AbstractMesh, PartitionSpec

from interaction.errors import InputError
from interaction.parallel.mesh import AXES
from interaction.parallel.sharding import partition
from interaction.params import Spec

MESH = AbstractMesh((1, 4, 2, 2), AXES)


def test_axes_go_where_the_table_says():
    spec = Spec((8, 16, 6, 5), ("expert", "embed", "mlp", None))
    with pytest.raises(ValueError, match=r"up: mesh axis twice in \('expert'"):
        partition("up", spec, MESH)  # experts and mlp are both divided by `tensor`
    spec = Spec((8, 16, 5), ("expert", "embed", None))
    want = PartitionSpec(("tensor", "expert"), "fsdp")
    assert partition("up", spec, MESH) == want
    assert partition("scale", Spec((5,), (None,)), MESH) == PartitionSpec()


def test_an_axis_of_one_device_divides_nothing():
    mesh = AbstractMesh((4, 1, 2, 1), AXES)
    spec = Spec((6, 8, 16), ("embed", "expert", "mlp"))
    with pytest.raises(ValueError, match="mesh axis twice"):
        partition("up", spec, mesh)  # on other meshes it would
    spec = Spec((6, 8, 5), ("embed", "expert", None))
    assert partition("up", spec, mesh) == PartitionSpec(None, "expert")


def test_a_mesh_must_divide_what_it_divides():
    """The product of the axes, where one of a parameter has two."""
    with pytest.raises(InputError, match="fsdp=4 does not divide w, whose embed is 6;"):
        partition("w", Spec((6, 4), ("embed", "mlp")), MESH)
    says = "tensor x expert=4 does not divide up, whose expert is 6;"
    with pytest.raises(InputError, match=says):
        partition("up", Spec((6, 16), ("expert", "embed")), MESH)
