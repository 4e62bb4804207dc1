"""Inkling checkpoints in and out, against what `transformers` computed (goldens).

python tests/interop/oracle.py --seeds 1 4 7 10 --output tests/interop/goldens
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

from interaction import decode, model
from interaction.errors import InputError
from interaction.interop import inkling_config, transfer
from interaction.package import open_package, read_json
from interaction.tensors import Entry, ShardWriter, TensorFiles, plan_shards

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
    at = inkling_config.placeholders(raw)
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
    out = model.forward(package.params, cfg, block, capture=True)
    chosen = []
    for layer, want in zip(out.captures, golden["hidden"], strict=True):
        assert error(np.asarray(layer["x"]), want) < BOUND
        if layer["routing"] is not None:
            chosen.append(np.sort(layer["routing"].chosen_NA, -1))
    np.testing.assert_array_equal(np.stack(chosen), golden["chosen"])


def test_greedy_continuation_is_the_oracles(imported):
    """64 tokens, past every window and extent, prefilled and then one at a time."""
    package, golden, _ = imported
    want = golden["continued"]
    start = golden["ids"][:1, :12]
    prompt = decode.make_prompt(package.cfg, start)
    steps = decode.continuation(package.params, package.cfg, prompt, len(want))
    np.testing.assert_array_equal(np.concatenate(list(steps)), want)


def test_one_at_a_time_equals_all_at_once(imported):
    package, golden, _ = imported
    cfg = decode.with_horizon(package.cfg, golden["ids"].shape[1])
    from interaction.cache import empty_cache

    cache, stepped = empty_cache(cfg, 2, 8), []
    prompt = decode.make_prompt(cfg, golden["ids"])
    for t in range(golden["ids"].shape[1]):
        block = decode.as_block(cfg, prompt, t, t + 1, 1)
        cache, logits = decode.extend(package.params, cache, block, cfg=cfg)
        stepped.append(np.asarray(logits))
    assert error(np.stack(stepped, 1), golden["logits"]) < BOUND


def tensors(directory: Path) -> dict[str, np.ndarray]:
    files = TensorFiles(directory)
    return {name: files.read(name) for name in files.entries}


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize("golden", GOLDENS[:2], ids=lambda p: p.name)
def test_round_trip_is_byte_identical(golden, dtype, tmp_path):
    src = sharded(golden, tmp_path / "src", dtype)
    (src / "tokenizer.json").write_text("{}")
    transfer.import_checkpoint(src, tmp_path / "ours")
    transfer.export_checkpoint(tmp_path / "ours", tmp_path / "back")
    assert TensorFiles(src).file_of == TensorFiles(tmp_path / "back").file_of
    before, after = tensors(src), tensors(tmp_path / "back")
    assert before.keys() == after.keys()
    for name, array in before.items():
        assert array.dtype == after[name].dtype
        assert array.tobytes() == after[name].tobytes(), name
    for name in ("config.json", "tokenizer.json"):
        assert (src / name).read_bytes() == (tmp_path / "back" / name).read_bytes()
    one = next(iter(TensorFiles(tmp_path / "back").file_of.values()))
    assert load_file(tmp_path / "back" / one)  # the safetensors package reads it


def sharded(golden: Path, dst: Path, dtype=np.float32) -> Path:
    """A copy of a committed checkpoint in several shards, in this dtype."""
    dst.mkdir()
    arrays = {name: x.astype(dtype) for name, x in tensors(golden).items()}
    write(arrays, dst)
    raw = read_json(golden / "config.json")
    raw["dtype"] = np.dtype(dtype).name
    (dst / "config.json").write_text(json.dumps(raw))
    return dst


def write(arrays: dict[str, np.ndarray], dst: Path) -> None:
    from interaction.tensors import CODES

    entries = {n: Entry(CODES[x.dtype], x.shape) for n, x in arrays.items()}
    writer = ShardWriter(dst, plan_shards(entries, limit=100_000))
    for name, array in arrays.items():
        writer.write(name, array)
    writer.close()


def _index(src: Path) -> dict:
    return json.loads((src / "model.safetensors.index.json").read_text())


def truncate(src: Path) -> None:
    shard = sorted(src.glob("*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:-100])


def lose_shard(src: Path) -> None:
    sorted(src.glob("*.safetensors"))[1].unlink()


def name_an_absent_tensor(src: Path) -> None:
    index = _index(src)
    index["weight_map"]["model.llm.absent"] = next(iter(index["weight_map"].values()))
    (src / "model.safetensors.index.json").write_text(json.dumps(index))


def other_architecture(src: Path) -> None:
    raw = read_json(src / "config.json") | {"architectures": ["LlamaForCausalLM"]}
    (src / "config.json").write_text(json.dumps(raw))


def _change(src: Path, change) -> None:
    arrays = tensors(src)
    for path in src.glob("model*"):
        path.unlink()
    change(arrays)
    write(arrays, src)


def one_wrong_dtype(src: Path) -> None:
    name = "lm_head.weight"
    _change(src, lambda a: a.update({name: a[name].astype(np.float16)}))


def one_missing(src: Path) -> None:
    _change(src, lambda a: a.pop("lm_head.weight"))


def one_extra(src: Path) -> None:
    _change(src, lambda a: a.update(surplus=np.zeros(3, np.float32)))


def one_misshapen(src: Path) -> None:
    name = "lm_head.weight"
    _change(src, lambda a: a.update({name: a[name][:, :-1].copy()}))


def no_config(src: Path) -> None:
    (src / "config.json").unlink()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (truncate, "truncated"),
        (lose_shard, "no such shard"),
        (name_an_absent_tensor, "model.llm.absent"),
        (other_architecture, "LlamaForCausalLM is unknown"),
        (one_wrong_dtype, "lm_head.weight is F16"),
        (one_missing, "lacks lm_head.weight"),
        (one_extra, "surplus is not a tensor"),
        (one_misshapen, "lm_head.weight is"),
        (no_config, "config.json"),
    ],
)
def test_faults_are_named_and_nothing_is_written(fault, words, tmp_path):
    src = sharded(GOLDENS[0], tmp_path / "src")
    fault(src)
    with pytest.raises(InputError, match=words) as caught:
        transfer.import_checkpoint(src, tmp_path / "dst")
    assert "\n" not in str(caught.value)
    assert {p.name for p in tmp_path.iterdir()} == {"src"}


def test_mtp_blocks_are_left_out_and_reported(tmp_path):
    src = sharded(GOLDENS[0], tmp_path / "src")
    _change(src, lambda a: a.update({"model.mtp.layers.0.x": np.zeros(3, np.float32)}))
    report = transfer.import_checkpoint(src, tmp_path / "dst")
    assert list(report.ignored) == ["model.mtp.layers.0.x"]
    assert "multi-token" in report.ignored["model.mtp.layers.0.x"]
    assert "flow.hidden" in report.fresh
    assert not any("mtp" in name for name in TensorFiles(tmp_path / "dst").entries)


def test_cut_off_import_goes_on(tmp_path):
    """Stopped half way, it leaves no destination; run again it skips what is done."""
    src, dst = sharded(GOLDENS[0], tmp_path / "src"), tmp_path / "dst"
    seen: list[str] = []

    def stop(name: str, size: int) -> None:
        seen.append(name)
        if len(seen) == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transfer.import_checkpoint(src, dst, tell=stop)
    assert not dst.exists()
    done = (tmp_path / "dst.partial" / "done.txt").read_text().split()
    assert done == seen
    transfer.import_checkpoint(src, dst)
    transfer.import_checkpoint(src, tmp_path / "again")
    first, second = tensors(dst), tensors(tmp_path / "again")
    assert all(first[n].tobytes() == second[n].tobytes() for n in second)
    assert not (tmp_path / "dst.partial").exists()


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


def test_a_session_runs_on_an_imported_backbone(tmp_path):
    """The imported model is a whole interaction model: it hears, and answers noise."""
    golden = next(g for g in GOLDENS if read_json(g / "config.json")["audio_config"][
        "n_mel_bins"] == 80 and read_json(g / "config.json")["vision_config"][
        "temporal_patch_size"] == 2)  # fmt: skip
    dst = tmp_path / "model"
    transfer.import_checkpoint(golden, dst, {"horizon": 64, "flow_width": 32})
    from tokenizers import Tokenizer, models

    vocab = {f"t{i}": i for i in range(open_package(dst).cfg.vocab_used)}
    Tokenizer(models.WordLevel(vocab, unk_token="t0")).save(str(dst / "tokenizer.json"))
    from interaction import Session

    session = Session.open(dst)
    out = session.step(audio=np.zeros(3200, np.float32))
    assert out.audio.shape == (3200,)
