"""Inkling checkpoints in and out: whole, damaged, broken off."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer, models

from interaction.errors import InputError
from interaction.interop import transfer
from interaction.jsonfile import read_json
from interaction.package import open_package
from interaction.tensors import Entry, ShardWriter, TensorFiles, plan_shards

GOLDENS = sorted((Path(__file__).parent / "goldens").glob("seed_*"))


def tensors(directory: Path) -> dict[str, np.ndarray]:
    files = TensorFiles(directory)
    return {name: files.read(name) for name in files.entries}


def word_tokenizer(path: Path, size: int = 40) -> None:
    vocab = {f"t{i}": i for i in range(size)}
    Tokenizer(models.WordLevel(vocab, unk_token="t0")).save(str(path))


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize("golden", GOLDENS[:2], ids=lambda p: p.name)
def test_round_trip_is_byte_identical(golden, dtype, tmp_path):
    src = sharded(golden, tmp_path / "src", dtype)
    word_tokenizer(src / "tokenizer.json")
    transfer.import_checkpoint(src, tmp_path / "ours")
    transfer.export_checkpoint(tmp_path / "ours", tmp_path / "back")
    assert_same(src, tmp_path / "back")
    for name in ("config.json", "tokenizer.json", "model.safetensors.index.json"):
        assert (src / name).read_bytes() == (tmp_path / "back" / name).read_bytes()
    one = next(iter(TensorFiles(tmp_path / "back").file_of.values()))
    assert load_file(tmp_path / "back" / one)  # the safetensors package reads it


def assert_same(one: Path, two: Path) -> None:
    assert TensorFiles(one).file_of == TensorFiles(two).file_of
    before, after = tensors(one), tensors(two)
    for name, array in before.items():
        assert array.dtype == after[name].dtype, name
        assert array.tobytes() == after[name].tobytes(), name


def test_odd_checkpoints_come_back_too(tmp_path):
    """One shard with an index; float32 islands in bfloat16; no padding in the
    unembedding; blocks of multi-token prediction, which stay behind."""
    src = sharded(GOLDENS[0], tmp_path / "src", ml_dtypes.bfloat16)
    used = read_json(src / "config.json")["text_config"]["unpadded_vocab_size"]

    def change(arrays: dict) -> None:
        for name in list(arrays):
            if "sconv" in name or "correction_bias" in name:
                arrays[name] = arrays[name].astype(np.float32)
        arrays["lm_head.weight"] = arrays["lm_head.weight"][:used].copy()

    _change(src, change, limit=10**9)
    (src / "model.safetensors").rename(src / "model-00001-of-00001.safetensors")
    listed = dict.fromkeys(
        load_file(src / "model-00001-of-00001.safetensors"),
        "model-00001-of-00001.safetensors",
    )
    index = {"metadata": {"total_size": 1}, "weight_map": listed}
    (src / "model.safetensors.index.json").write_text(json.dumps(index))
    transfer.import_checkpoint(src, tmp_path / "ours")
    transfer.export_checkpoint(tmp_path / "ours", tmp_path / "back")
    assert_same(src, tmp_path / "back")

    more = sharded(GOLDENS[0], tmp_path / "more")
    _change(more, lambda a: a.update({"model.mtp.x": np.zeros(3, np.float32)}))
    transfer.import_checkpoint(more, tmp_path / "ours2")
    report = transfer.export_checkpoint(tmp_path / "ours2", tmp_path / "back2")
    assert "was not imported" in report.ignored["model.mtp.x"]
    assert set(tensors(tmp_path / "back2")) == set(tensors(more)) - {"model.mtp.x"}


def sharded(golden: Path, dst: Path, dtype=np.float32) -> Path:
    """A copy of a committed checkpoint in several shards, in this dtype."""
    dst.mkdir()
    arrays = {name: x.astype(dtype) for name, x in tensors(golden).items()}
    write(arrays, dst)
    raw = read_json(golden / "config.json")
    raw["dtype"] = np.dtype(dtype).name
    (dst / "config.json").write_text(json.dumps(raw))
    return dst


def write(arrays: dict[str, np.ndarray], dst: Path, limit: int = 100_000) -> None:
    from interaction.tensors import CODES

    entries = {n: Entry(CODES[x.dtype], x.shape) for n, x in arrays.items()}
    writer = ShardWriter(dst, plan_shards(entries, limit))
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


def _change(src: Path, change, limit: int = 100_000) -> None:
    arrays = tensors(src)
    for path in src.glob("model*"):
        path.unlink()
    change(arrays)
    write(arrays, src, limit)


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


def shard_elsewhere(src: Path) -> None:
    index = _index(src)
    name = next(iter(index["weight_map"]))
    index["weight_map"][name] = "../elsewhere.safetensors"
    (src / "model.safetensors.index.json").write_text(json.dumps(index))


def overlap(src: Path) -> None:
    """Two tensors over the same bytes: a header that only a fault would make."""
    shard = max(src.glob("*.safetensors"), key=lambda p: len(load_file(p)))
    data = shard.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    first, second, *_ = sorted(
        (k for k in header if k != "__metadata__"),
        key=lambda k: header[k]["data_offsets"],
    )
    header[second] = header[first]
    text = json.dumps(header, separators=(",", ":")).encode().ljust(size)
    shard.write_bytes(data[:8] + text + data[8 + size :])


def bad_tokenizer(src: Path) -> None:
    (src / "tokenizer.json").write_text("{}")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (truncate, "truncated"),
        (lose_shard, "no such shard"),
        (name_an_absent_tensor, "model.llm.absent"),
        (other_architecture, "LlamaForCausalLM"),
        (one_wrong_dtype, "lm_head.weight is F16"),
        (one_missing, "lacks lm_head.weight"),
        (one_extra, "surplus is not a tensor"),
        (one_misshapen, "lm_head.weight is"),
        (no_config, "config.json"),
        (shard_elsewhere, "no name of a shard"),
        (overlap, "gap or overlap"),
        (bad_tokenizer, "tokenizer.json"),
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


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("text_config", "num_hidden_layers", float("nan")),
        ("text_config", "num_hidden_layers", 0),
        ("text_config", "num_hidden_layers", 3.5),
        ("text_config", "layer_types", 3),
        ("text_config", "mlp_layer_types", [["dense"]]),
        ("text_config", "swa_num_key_value_heads", 0),
        ("text_config", "intermediate_size", "abc"),
        ("text_config", "log_scaling_n_floor", "x"),
        ("text_config", "logits_mup_width_multiplier", 0),
        ("text_config", "embedding_multiplier", 7.0),  # another name of the one above
        ("text_config", "rms_norm_eps", float("nan")),
        ("text_config", "route_scale", float("inf")),
        ("text_config", "num_experts_per_tok", 0),
        ("text_config", "eos_token_id", "x"),
        ("text_config", "hidden_act", "gelu"),
        ("vision_config", "n_layers", -4),
        ("vision_config", "patch_size", 0),
        (None, "architectures", 5),
        (None, "audio_token_id", "x"),
        (None, "text_config", None),
        (None, "dtype", "float16"),
        (None, "quantization_config", {"quant_method": "nvfp4"}),
    ],
)
def test_garbage_in_the_config_is_named(part, key, value, tmp_path):
    src = sharded(GOLDENS[0], tmp_path / "src")
    raw = read_json(src / "config.json")
    (raw[part] if part else raw)[key] = value
    (src / "config.json").write_text(json.dumps(raw))
    with pytest.raises(InputError) as caught:
        transfer.import_checkpoint(src, tmp_path / "dst")
    assert "\n" not in str(caught.value)
    assert {p.name for p in tmp_path.iterdir()} == {"src"}


def test_what_inkling_leaves_open_is_ours_to_set(tmp_path):
    ours = {"horizon": 64, "flow_width": 32}
    transfer.import_checkpoint(GOLDENS[0], tmp_path / "model", ours)
    cfg = open_package(tmp_path / "model").cfg
    assert (cfg.horizon, cfg.flow_width) == (64, 32)


STUCK = """
import os, signal, sys
from pathlib import Path
from interaction.interop import transfer
from interaction.tensors import ShardWriter
os.fdatasync = lambda fd: None
transfer.PIECE_BYTES = 4000
write, calls = ShardWriter.write, []
def counted(self, name, rows, first=0):
    calls.append(name)
    if len(calls) == 64:  # within the unembedding
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, name, rows, first)
ShardWriter.write = counted
from interaction.interop import partial
partial.SYNC_BYTES = 0
transfer.import_checkpoint(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_killed_import_goes_on(tmp_path, monkeypatch):
    """kill -9 in the middle of a tensor: no destination; the next run moves only what
    was not finished, and the result is that of an undisturbed one."""
    src, dst = sharded(GOLDENS[0], tmp_path / "src"), tmp_path / "dst"
    done = subprocess.run([sys.executable, "-c", STUCK, src, dst])
    assert done.returncode == -9
    assert not dst.exists()
    finished = (tmp_path / "dst.partial.log").read_text().splitlines()[1:]
    assert len(finished) == 5 and "lm_head.weight" not in finished
    moved = []
    take = transfer.Partial.finish
    monkeypatch.setattr(
        transfer.Partial, "finish", lambda self, n, b: (moved.append(n), take(self, n, b))
    )
    report = transfer.import_checkpoint(src, dst)
    assert set(moved) == set(report.used) - set(finished)
    assert {p.name for p in tmp_path.iterdir()} == {"src", "dst"}
    transfer.import_checkpoint(src, tmp_path / "again")
    first, second = tensors(dst), tensors(tmp_path / "again")
    assert all(first[n].tobytes() == second[n].tobytes() for n in second)


def test_a_lost_shard_under_way_is_made_again(tmp_path, monkeypatch):
    src, dst = sharded(GOLDENS[0], tmp_path / "src"), tmp_path / "dst"

    def stop(name: str, size: int) -> None:
        if name.startswith("lm_head"):
            raise KeyboardInterrupt

    monkeypatch.setattr("interaction.interop.partial.SYNC_BYTES", 0)
    with pytest.raises(KeyboardInterrupt):
        transfer.import_checkpoint(src, dst, tell=stop)
    for shard in (tmp_path / "dst.partial").glob("*.safetensors"):
        shard.unlink()
    transfer.import_checkpoint(src, dst)
    assert tensors(dst)["embed.tokens"].any()


def test_a_directory_in_the_way_is_kept(tmp_path):
    (tmp_path / "dst.partial").mkdir()
    (tmp_path / "dst.partial" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="in the way"):
        transfer.import_checkpoint(GOLDENS[0], tmp_path / "dst")
    assert (tmp_path / "dst.partial" / "thesis.txt").read_text() == "mine"


def test_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(*_) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("interaction.tensors.os.pwrite", full)
    with pytest.raises(InputError, match="No space left"):
        transfer.import_checkpoint(GOLDENS[0], tmp_path / "dst")
    assert not (tmp_path / "dst").exists()


def test_damaged_record_is_named(tmp_path):
    transfer.import_checkpoint(GOLDENS[0], tmp_path / "ours")
    path = tmp_path / "ours" / "source" / "tensors.json"
    record = json.loads(path.read_text())
    for damage in ("{}", "[", json.dumps(record | {"shards": {"/tmp/x.safetensors": {}}})):
        path.write_text(damage)
        with pytest.raises(InputError):
            transfer.export_checkpoint(tmp_path / "ours", tmp_path / "back")
    file = next(iter(record["shards"]))
    record["shards"][file].pop("lm_head.weight")
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match="lm_head.weight"):
        transfer.export_checkpoint(tmp_path / "ours", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_session_runs_on_an_imported_backbone(tmp_path):
    """The imported model is a whole interaction model: it hears, and answers noise."""
    golden = next(g for g in GOLDENS if read_json(g / "config.json")["audio_config"][
        "n_mel_bins"] == 80 and read_json(g / "config.json")["vision_config"][
        "temporal_patch_size"] == 2)  # fmt: skip
    dst = tmp_path / "model"
    transfer.import_checkpoint(golden, dst, {"horizon": 64, "flow_width": 32})
    word_tokenizer(dst / "tokenizer.json")
    from interaction import Session

    session = Session.open(dst)
    out = session.step(audio=np.zeros(3200, np.float32))
    assert out.audio.shape == (3200,)
