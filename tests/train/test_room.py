"""What a run keeps, against the memory of an accelerator and of this machine."""

from __future__ import annotations

import types
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from interaction.errors import InputError
from interaction.train.room import check_room

KEPT = [jax.ShapeDtypeStruct((1 << 20,), jnp.float32), jax.ShapeDtypeStruct((2,), "int32")]


def device(stats: dict[str, int] | None) -> Any:
    return types.SimpleNamespace(platform="tpu", memory_stats=lambda: stats)


def test_an_accelerator_says_how_much_it_has():
    check_room(KEPT, [device({"bytes_limit": (4 << 20) + 8})] * 4)
    with pytest.raises(InputError, match="on each device"):
        check_room(KEPT, [device({"bytes_limit": (4 << 20) + 7})] * 4)


@pytest.mark.parametrize("stats", [None, {"bytes_in_use": 1}])
def test_one_that_does_not_say_is_let_pass(stats):
    check_room(KEPT, [device(stats)])


def test_virtual_devices_share_the_machine():
    kept, here = jax.ShapeDtypeStruct((1 << 30,), jnp.int8), jax.local_devices()[:1]
    check_room(kept, here)
    with pytest.raises(InputError, match="65,536.0 GiB on the 65536 devices of this"):
        check_room(kept, here * 65536)
