"""Against `transformers` itself, on random models: `make live` (installs torch).

The goldens beside this file are four of these, so `make test` needs neither.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="opt-in: make live")
pytest.importorskip("transformers", reason="opt-in: make live")

from interaction import decode  # noqa: E402
from interaction.cache import empty_cache  # noqa: E402
from interaction.interop import inkling_config, transfer  # noqa: E402
from interaction.jsonfile import read_json  # noqa: E402
from interaction.package import open_package  # noqa: E402

_spec = importlib.util.spec_from_file_location(
    "oracle", Path(__file__).with_name("oracle.py")
)
oracle = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(oracle)

BOUND = 2e-4  # of the logits' standard deviation


@pytest.mark.parametrize("seed", range(12))
def test_random_models_agree(seed, tmp_path):
    """Logits for text, sound and pictures; 64 greedy tokens; one token at a time."""
    oracle.write(seed, tmp_path / "theirs")
    transfer.import_checkpoint(tmp_path / "theirs", tmp_path / "ours")
    package = open_package(tmp_path / "ours")
    cfg, params = package.cfg, package.params
    path = tmp_path / "theirs" / "config.json"
    at = inkling_config.placeholders(read_json(path), path)
    golden = np.load(tmp_path / "theirs" / "golden.npz")
    errors = {}

    def compare(name: str, ours: np.ndarray, theirs: np.ndarray) -> None:
        errors[name] = float(np.abs(ours - theirs).max() / theirs.std())

    for name, more in (
        ("", {}),
        ("audio_", {"dmel": golden["dmel"]}),
        ("image_", {"patches": golden["patches"]}),
    ):
        prompt = decode.make_prompt(cfg, golden[f"{name}ids"], at.audio, at.image, **more)
        ours = decode.teacher_forced(params, cfg, prompt)
        compare(name or "text", ours, golden[f"{name}logits"])
    prompt = decode.make_prompt(cfg, golden["ids"])
    B, T = prompt.ids.shape
    long = decode.with_horizon(cfg, T)
    cache, stepped = empty_cache(long, B, 8), []
    for t in range(T):
        block = decode.as_block(long, prompt, t, t + 1, 1)
        cache, logits = decode.extend(params, cache, block, cfg=long)
        stepped.append(np.asarray(logits))
    compare("one at a time", np.stack(stepped, 1), golden["logits"])
    want = golden["continued"]
    start = decode.make_prompt(cfg, golden["ids"][:1, : oracle.PROMPT])
    steps = decode.continuation(params, cfg, start, len(want))
    print(f"seed {seed}: " + ", ".join(f"{k} {v:.1e}" for k, v in errors.items()))
    assert max(errors.values()) <= BOUND, errors
    np.testing.assert_array_equal(np.concatenate(list(steps)), want)
