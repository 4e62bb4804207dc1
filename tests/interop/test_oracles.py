"""Imported Inkling checkpoints compute what `transformers` computed (goldens).

python tests/interop/oracle.py --seeds 1 4 7 10 --output tests/interop/goldens
"""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from interaction import decode, model
from interaction.cache import empty_cache
from interaction.interop import inkling_config, transfer
from interaction.jsonfile import read_json
from interaction.package import open_package

GOLDENS = sorted((Path(__file__).parent / "goldens").glob("seed_*"))
BOUND = 2e-4  # of the logits' standard deviation


def error(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max() / theirs.std())


@pytest.fixture(scope="module", params=GOLDENS, ids=lambda p: p.name)
def imported(request, tmp_path_factory):
    """(package, golden arrays, its own config) of one committed checkpoint."""
    dst = tmp_path_factory.mktemp("imported") / "model"
    transfer.import_checkpoint(request.param, dst)
    raw = read_json(request.param / "config.json")
    return open_package(dst), np.load(request.param / "golden.npz"), raw


@pytest.mark.parametrize("given", ["text", "audio", "image"])
def test_logits_are_the_oracles(imported, given):
    package, golden, raw = imported
    at = inkling_config.placeholders(raw, Path("config.json"))
    ids = golden["ids" if given == "text" else f"{given}_ids"]
    more = {"audio": {"dmel": golden["dmel"]}, "image": {"patches": golden["patches"]}}
    prompt = decode.make_prompt(package.cfg, ids, at.audio, at.image, **more.get(given, {}))
    logits = decode.teacher_forced(package.params, package.cfg, prompt)
    want = golden["logits" if given == "text" else f"{given}_logits"]
    assert logits.shape == want.shape
    assert error(logits, want) < BOUND


def test_layers_and_routing_are_the_oracles(imported):
    package, golden, _ = imported
    cfg = package.cfg
    prompt = decode.make_prompt(cfg, golden["ids"])
    T = prompt.ids.shape[1]
    block = decode.as_block(cfg, prompt, 0, T, T)
    look = jax.jit(functools.partial(model.forward, capture=True), static_argnums=1)
    out = look(package.params, cfg, block)
    chosen = []
    for layer, want in zip(out.captures, golden["hidden"], strict=True):
        assert error(np.asarray(layer.x), want) < BOUND
        if layer.routing is not None:
            chosen.append(np.sort(layer.routing.chosen_NA, -1))
    np.testing.assert_array_equal(np.stack(chosen), golden["chosen"])


def test_greedy_continuation_is_the_oracles(imported):
    """64 tokens, past every window and extent, prefilled and then one at a time."""
    package, golden, _ = imported
    want = golden["continued"]
    start = golden["ids"][:1, :12]
    prompt = decode.make_prompt(package.cfg, start)
    steps = decode.continuation(package.params, package.cfg, prompt, len(want))
    np.testing.assert_array_equal(np.concatenate(list(steps)), want)


def test_prefill_in_several_blocks_is_the_oracles(imported, monkeypatch):
    """Blocks of 4, fewer than the sound has rows: the continuation does not change."""
    package, golden, raw = imported
    at = inkling_config.placeholders(raw, Path("config.json"))
    prompt = decode.make_prompt(
        package.cfg, golden["audio_ids"], at.audio, at.image, dmel=golden["dmel"]
    )
    whole = next(decode.continuation(package.params, package.cfg, prompt, 1))
    monkeypatch.setattr(decode, "CHUNK", 4)
    pieces = next(decode.continuation(package.params, package.cfg, prompt, 1))
    np.testing.assert_array_equal(whole, golden["audio_logits"][:, -1].argmax(-1))
    np.testing.assert_array_equal(pieces, whole)


def test_one_at_a_time_equals_all_at_once(imported):
    package, golden, _ = imported
    cfg = decode.with_horizon(package.cfg, golden["ids"].shape[1])
    cache, stepped = empty_cache(cfg, 2, 8), []
    prompt = decode.make_prompt(cfg, golden["ids"])
    for t in range(golden["ids"].shape[1]):
        block = decode.as_block(cfg, prompt, t, t + 1, 1)
        cache, logits = decode.extend(package.params, cache, block, cfg=cfg)
        stepped.append(np.asarray(logits))
    assert error(np.stack(stepped, 1), golden["logits"]) < BOUND


def run(*args) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True)


def test_commands_import_score_and_export(tmp_path):
    golden = np.load(GOLDENS[0] / "golden.npz")
    ours, logits = tmp_path / "ours", tmp_path / "logits.npy"
    done = run("interaction.convert", "import", f"--src={GOLDENS[0]}", f"--dst={ours}")
    assert done.returncode == 0, done.stderr
    assert "fresh, to be trained: embed.controls" in done.stdout
    again = run("interaction.convert", "import", f"--src={GOLDENS[0]}", f"--dst={ours}")
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1
    for name in ("ids", "audio_ids", "dmel"):
        np.save(tmp_path / f"{name}.npy", golden[name])
    done = run(
        "interaction.generate", f"--checkpoint={ours}", f"--ids={tmp_path}/audio_ids.npy",
        f"--audio={tmp_path}/dmel.npy", f"--logits={logits}", "--dtype=float32",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert error(np.load(logits), golden["audio_logits"]) < BOUND
    wrong = run(
        "interaction.generate", f"--checkpoint={ours}", f"--ids={tmp_path}/ids.npy",
        f"--audio={tmp_path}/dmel.npy", f"--logits={tmp_path}/no.npy",
    )  # fmt: skip
    assert wrong.returncode == 2
    assert "placeholders" in wrong.stderr
    assert not (tmp_path / "no.npy").exists()
