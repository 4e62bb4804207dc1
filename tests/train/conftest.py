"""The processes that these tests start share their compiled programs."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="package", autouse=True)
def programs(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("programs")))
        # Small ones too: a new state is made by some thirty, of half a second each.
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield
