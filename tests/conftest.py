"""Shared fixtures: a model small enough to compile in seconds, and its package."""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
from pathlib import Path

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from interaction import model, package
from interaction.config import ModelConfig
from interaction.memory import look_for_garbage
from interaction.package import ASSETS
from interaction.params import Params, initialise
from interaction.settings import load

LONGEST = (  # by minutes
    "parity/test_parity.py", "train/test_hosts.py", "interop/test_oracles.py",
    "train/test_training.py", "planning/test_compiled.py", "test_model.py",
    "launch/test_drill.py", "train/test_mesh.py", "test_bench.py", "parity/test_pods.py",
    "serve/test_drill.py", "eval/test_wire.py",
)  # fmt: skip
NO_BROWSER = "the page was not tried: no Chromium or Chrome on PATH; install chromium"


@pytest.fixture(scope="session", autouse=True)
def programs(tmp_path_factory):
    """Tests share their compiled programs: those of this process, of the other workers, and
    of the processes that they start. Each run of the tests begins with none."""
    directory = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        directory = directory.parent
    settings = {
        "jax_compilation_cache_dir": str(directory / "programs"),
        # Small ones too: a new state is made by some thirty, of half a second each.
        "jax_persistent_cache_min_compile_time_secs": 0,
    }
    look_for_garbage(rarely=True)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name.upper(), str(value))
            jax.config.update(name, value)
        compilation_cache.reset_cache()  # it looks for its directory once
        yield


@pytest.fixture(scope="module", autouse=True)
def room(programs):
    """A file leaves nothing compiled behind: what stays makes a worker of many gigabytes,
    and every collection of garbage slow. The next file finds its programs on the disk."""
    yield
    jax.clear_caches()
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)  # glibc keeps half of it otherwise


@pytest.fixture(scope="session")
def chromium() -> str:
    """A Chromium's or Chrome's program."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next(filter(None, map(shutil.which, names)), None)
    return found or pytest.skip(NO_BROWSER)


def pytest_collection_modifyitems(items) -> None:
    """The longest files first, so that workers come to their ends together."""
    place = {Path(__file__).parent / name: n for n, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


def pytest_terminal_summary(terminalreporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if any(NO_BROWSER in str(report.longrepr) for report in skipped):
        terminalreporter.config.add_cleanup(lambda: print(NO_BROWSER))  # the last line


@pytest.fixture(scope="session")
def tiny() -> ModelConfig:
    config = load(Path(__file__).parent / "tiny.py")
    return ModelConfig.from_mapping(config.model.to_dict())


@pytest.fixture(scope="session")
def tiny_params(tiny):
    """Random, with every zero-initialised product made to matter."""
    params = initialise(model.specs(tiny), jax.random.key(0))
    flow = params["flow"]
    flow["out"] = 0.3 * jax.random.normal(jax.random.key(1), flow["out"].shape)
    for i, block in enumerate(flow["blocks"]):
        block["mod"] = 0.3 * jax.random.normal(jax.random.key(2 + i), block["mod"].shape)
    return params


@pytest.fixture(scope="session")
def packed(tmp_path_factory):
    """packed(cfg, params) -> a directory that `Session.open` opens: the shipped decoder."""

    def pack(cfg: ModelConfig, params: Params) -> Path:
        directory = tmp_path_factory.mktemp("packed")
        package.save_model(directory, cfg, params)
        for name in ("tokenizer.json", "waveform.safetensors"):
            shutil.copy(ASSETS / "nano" / name, directory / name)
        return directory

    return pack


@pytest.fixture(scope="session")
def tiny_package(packed, tiny, tiny_params):
    """A directory that `Session.open` opens: random weights, the shipped decoder."""
    return packed(tiny, tiny_params)
