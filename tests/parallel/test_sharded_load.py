"""An imported model opened on eight devices: each reads its part of the files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

GOLDEN = Path(__file__).parent.parent / "interop" / "goldens" / "seed_7"

PROGRAM = """
import json, sys
from pathlib import Path
import jax, numpy as np
from interaction import decode
from interaction.config import ModelConfig
from interaction.jsonfile import read_json
from interaction.package import open_package
from interaction.parallel.mesh import make_mesh
from interaction.parallel.sharding import shardings
from interaction.params import flatten
from interaction.tensors import TensorFiles

path = Path(sys.argv[1])
cfg = ModelConfig.from_mapping(read_json(path / "config.json"))
mesh = make_mesh(fsdp=2, expert=4)
largest = {}
read = TensorFiles.read
def watched(self, name, index=...):
    out = read(self, name, index)
    largest[name] = max(largest.get(name, 0), out.nbytes)
    return out
TensorFiles.read = watched
package = open_package(path, shardings(cfg, mesh))
flat = flatten(package.params)
stacks = {n: x for n, x in flat.items() if n.endswith(("mlp.gate", "mlp.up", "mlp.down"))
          and x.ndim == 4}
shares = {n: [s.data.nbytes / x.nbytes for s in x.addressable_shards]
          for n, x in stacks.items()}
devices = [0] * 8
for x in flat.values():
    for s in x.addressable_shards:
        devices[s.device.id] += s.data.nbytes
whole = sum(x.nbytes for x in flat.values())
golden = np.load(sys.argv[2])
prompt = decode.make_prompt(package.cfg, golden["ids"])
logits = decode.teacher_forced(package.params, package.cfg, prompt)
files = TensorFiles(path)
stored = {n: files.entries[n] for n in largest if ".mlp.gate" in n}
read_share = {n: largest[n] / e.nbytes for n, e in stored.items() if len(e.shape) == 3}
print(json.dumps({
    "shares": shares, "devices": devices, "whole": whole, "read": read_share,
    "error": float(np.abs(logits - golden["logits"]).max() / golden["logits"].std()),
}))
"""


def test_no_device_holds_a_whole_expert_stack(tmp_path):
    from interaction.interop import transfer

    transfer.import_checkpoint(GOLDEN, tmp_path / "model")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "model", GOLDEN / "golden.npz"],
        env=os.environ | {
            "XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"
        },
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["shares"]
    for share in seen["shares"].values():  # 4 ways by expert, 2 by rows
        assert share == [1 / 8] * 8
    assert all(share == 1 / 8 for share in seen["read"].values())
    assert len(set(seen["devices"])) == 1
    assert seen["error"] < 2e-4
