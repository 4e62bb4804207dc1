"""Runs share their compiled programs: those of processes that tests start, and those in
this one, where every run has an optimiser, and so a step, of its own."""

from __future__ import annotations

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache


@pytest.fixture(scope="package", autouse=True)
def programs(tmp_path_factory):
    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("programs")),
        # Small ones too: a new state is made by some thirty, of half a second each.
        "jax_persistent_cache_min_compile_time_secs": 0,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name.upper(), str(value))
            jax.config.update(name, value)
        compilation_cache.reset_cache()  # it looks for its directory once
        yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
