"""Import and export of a large made-up checkpoint: memory, rate, bytes.

    python tests/interop/big.py --gigabytes=4 --shards=8 --workdir=/tmp/big

writes a random Inkling checkpoint in bfloat16, imports and exports it in processes of
their own, prints their peak resident memory, and compares every byte. Not a test: it
needs three times the size on disk and some minutes.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np

from interaction.interop.inkling import entries
from interaction.interop.inkling_config import model_config
from interaction.interop.transfer import source_shape
from interaction.tensors import Entry, ShardWriter, TensorFiles, plan_shards
from interaction.weights import specs_on_disk

LIMIT_BYTES = 2_500_000_000
PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


def raw_config(gigabytes: float) -> dict:
    """Inkling-Small's shape at an eighth of its width, with as many experts as fit."""
    width, expert_width, layers = 1024, 512, 6
    per_expert = 3 * width * expert_width * 2 * (layers - 1)
    text = {
        "vocab_size": 201_024, "unpadded_vocab_size": 200_058, "hidden_size": width,
        "num_hidden_layers": layers, "num_attention_heads": 8, "num_key_value_heads": 2,
        "head_dim": 128, "swa_num_attention_heads": 8, "swa_num_key_value_heads": 2,
        "log_scaling_n_floor": 128_000, "intermediate_size": 4096,
        "moe_intermediate_size": expert_width, "n_shared_experts": 2,
        "n_routed_experts": int((gigabytes - 0.95) * 1e9 / per_expert),
        "mlp_layer_types": ["dense"] + ["sparse"] * (layers - 1),
        "logits_mup_width_multiplier": 4.0,
    }  # fmt: skip
    return {
        "architectures": ["InklingForConditionalGeneration"],
        "model_type": "inkling_mm_model",
        "dtype": "bfloat16",
        "text_config": text,
        "audio_config": {"mel_vocab_size": 16},
        "vision_config": {"n_layers": 4},
    }


def make(directory: Path, gigabytes: float, shards: int) -> int:
    """-> bytes of tensors written."""
    raw = raw_config(gigabytes)
    cfg = model_config(raw, directory)
    specs = specs_on_disk(cfg)
    found = entries(cfg, ("model.llm.",))
    stored = {e.source: Entry("BF16", source_shape(e, specs)) for e in found}
    total = sum(entry.nbytes for entry in stored.values())
    directory.mkdir(parents=True)
    limit = total // shards
    while len(plan := plan_shards(stored, limit)) > shards:
        limit += 1 << 20
    writer = ShardWriter(directory, plan)
    rng = np.random.default_rng(0)
    for name, entry in stored.items():
        rows = entry.shape[0]
        step = max(1, (64 << 20) * rows // entry.nbytes)
        for a in range(0, rows, step):
            shape = (min(step, rows - a), *entry.shape[1:])
            bits = rng.integers(0, 2**16, shape, np.uint16)
            writer.write(name, bits.view(ml_dtypes.bfloat16), a)
    writer.close()
    (directory / "config.json").write_text(json.dumps(raw, indent=1))
    return total


def convert(command: str, src: Path, dst: Path) -> int:
    """Run it; -> its peak resident bytes, as the kernel counts them."""
    code = (
        "import sys, runpy; sys.argv = sys.argv[1:]\n"
        "try: runpy.run_module('interaction.convert', run_name='__main__')\n"
        "finally: print(open('/proc/self/status').read(), file=sys.stderr)"
    )
    args = [sys.executable, "-c", code, "convert", command, f"--src={src}", f"--dst={dst}"]
    done = subprocess.run(args, capture_output=True, text=True)
    print(done.stdout.strip())
    if done.returncode:
        raise SystemExit(done.stderr)
    return int(PEAK.search(done.stderr)[1]) * 1024


def same(a: Path, b: Path) -> bool:
    one, two = TensorFiles(a), TensorFiles(b)
    equal = one.entries == two.entries
    for name in one.entries:
        equal = equal and one.read(name).tobytes() == two.read(name).tobytes()
    return equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--workdir", type=Path, required=True)
    args = parser.parse_args()
    src, ours, back = (args.workdir / name for name in ("source", "ours", "back"))
    shutil.rmtree(args.workdir, ignore_errors=True)
    size = make(src, args.gigabytes, args.shards)
    print(f"{size:,} bytes in {len(list(src.glob('*.safetensors')))} shards")
    peaks = {
        "import": convert("import", src, ours),
        "export": convert("export", ours, back),
    }
    for command, peak in peaks.items():
        print(f"{command}: peak {peak / 1e9:.2f} GB resident")
    equal = same(src, back)
    print("every byte equal" if equal else "BYTES DIFFER")
    shutil.rmtree(args.workdir)
    if not equal or max(peaks.values()) > LIMIT_BYTES:
        raise SystemExit(f"wanted equal bytes and at most {LIMIT_BYTES / 1e9} GB")


if __name__ == "__main__":
    main()
