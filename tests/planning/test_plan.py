"""The command, on configs that no machine here could hold."""

from __future__ import annotations

import math
import sys

import jax
import pytest

from interaction import plan, pod
from interaction.chips import CHIPS, GIB
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.parallel.placement import held_bytes
from interaction.planning import search
from interaction.planning.fit import compiled
from interaction.planning.training import SLICES, fewer_rows, nearest
from interaction.settings import load

TML = "configs/tml_interaction_small.py"
NANO = "configs/nano.py"


def run(monkeypatch, *args):
    monkeypatch.setattr(sys, "argv", ["plan", *args])
    return plan.main()


def test_what_does_not_fit_is_said_in_one_line(monkeypatch, capsys):
    args = (f"--config={TML}", "--mode=train", "--topology=v6e:4x4", "--mesh=fsdp=16")
    assert run(monkeypatch, *args) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "does not fit: needs" in line and "of 31.2 GiB a chip" in line
    assert "nearest that fits: v6e:16x16" in line


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--mode=train"], "--topology"),
        (["--mode=train", "--topology=v9:2x2"], "v9:2x2: kinds are v5e, v5p, v6e, tpu7x"),
        (["--mode=train", "--topology=v5p:9"], "v5p:9"),
        (["--mode=train", "--topology=v5p:2x2x1", "--mesh=fsdp=8"], "where there are 4"),
        (["--mode=serve", "--topology=v5p:2x2x1", "--slots=0"], "--slots"),
    ],
)
def test_bad_input_is_named(monkeypatch, args, said):
    with pytest.raises(InputError, match=said):
        run(monkeypatch, f"--config={TML}", *args)


def test_legal_meshes_use_all_devices_and_divide_the_model():
    cfg = ModelConfig.from_mapping(load(TML, []).model.to_dict())
    found = list(search.legal(cfg, 512, 1, rows=512))
    assert {"data": 1, "fsdp": 64, "expert": 8, "tensor": 1} in found
    for sizes in found:
        assert math.prod(sizes.values()) == 512
        assert cfg.experts % (sizes["expert"] * sizes["tensor"]) == 0
        assert cfg.kv_heads % sizes["tensor"] == 0
    assert all(s["data"] % 2 == 0 for s in search.legal(cfg, 512, 2, rows=512))


@pytest.mark.parametrize(
    ("refusal", "need"),
    [
        ("Ran out of memory in memory space hbm. Used 40.50G of 31.25G hbm.", 40.5),
        ("Ran out of memory on HBM, the total memory required for HLO temporaries "
         "(53.74G) exceeds available HBM (31.25G).", 53.74),
    ],
)  # fmt: skip
def test_a_refusal_of_the_compiler_is_read(refusal, need):
    tried = []

    def make(how):
        tried.append(how.keys() - {"xla_dump_to"})
        raise jax.errors.JaxRuntimeError(f"RESOURCE_EXHAUSTED: {refusal}")

    assert compiled(make) == pytest.approx(need * GIB)
    assert tried == [pod.QUICK.keys(), set()]  # with all effort too


def test_another_fault_of_the_compiler_is_one():
    def make(how):
        raise jax.errors.JaxRuntimeError("INTERNAL: Used 40.50G of 31.25G hbm.")

    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        compiled(make)


@pytest.mark.parametrize("kind", ["v5e:2x2", "v6e:2x2", "v5p:2x2x1", "tpu7x:2x2x1"])
def test_what_a_program_takes_is_what_the_compiler_counts(kind):
    """A product that takes 2.5 times its argument, and donates it: just below what a chip
    has, and just above, where the compiler says how much it would be. As `chips` has it."""
    chip, device = CHIPS[kind.split(":")[0]], pod.pod_devices(kind)[0]
    at = jax.sharding.SingleDeviceSharding(device)

    def make(n, how):
        given = jax.ShapeDtypeStruct((n, 8192), "float32", sharding=at)
        step = jax.jit(lambda x: (x @ x[:8192]) @ x[:8192], donate_argnums=0)
        return {"products": step.lower(given).compile(how)}

    budget = chip.hbm_bytes / chip.devices
    rows = int(budget / 2.5 / 8192 / 4) // 1024 * 1024
    _, memory = compiled(lambda how: make(rows - 2048, how))
    took = memory["products"]
    assert took.arguments == took.replaced == (rows - 2048) * 8192 * 4
    assert took.needed == pytest.approx(2.5 * took.arguments, rel=0.05)
    too_much = compiled(lambda how: make(rows + 8192, how))
    assert budget < too_much < 1.2 * budget


@pytest.mark.parametrize(
    ("devices", "need", "batch"), [(256, 40, 256), (128, 80, 128), (256, 80, None)]
)
def test_fewer_rows_are_offered_where_they_may_fit(devices, need, batch):
    assert fewer_rows(512, devices, held=10, need=need, budget=30) == batch


@pytest.mark.parametrize(("muon", "dtype"), [(True, "bfloat16"), (False, "float32")])
def test_moments_are_estimated_as_they_are_kept(muon, dtype):
    config = load(NANO, [])
    config.train.muon, config.train.moments_dtype = muon, dtype
    cfg = ModelConfig.from_mapping(config.model.to_dict())
    mesh = pod.pod_mesh("v5p:2x2x1", {"fsdp": 2, "expert": 2}, 1)
    kept = held_bytes(pod.describe_training(config, cfg, mesh).state.opt)
    _, moments, *_ = search._parts(config.train, cfg, dict(mesh.shape))
    assert moments == pytest.approx(kept, rel=1e-4)


@pytest.mark.parametrize("kind", list(SLICES))
def test_the_nearest_slice_has_room_to_spare(kind):
    chip = CHIPS[kind]
    shape = nearest(kind, 10 * chip.hbm_bytes, chip)
    chips = math.prod(int(n) for n in shape.split(":")[1].split("x"))
    assert chips * chip.hbm_bytes >= 20 * chip.hbm_bytes > chips / 2 * chip.hbm_bytes
    assert nearest(kind, 1e6 * chip.hbm_bytes, chip) is None
