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
    assert "does not fit: needs" in line and "of 29.8 GiB a chip" in line
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
         "(53.74G) exceeds available HBM (31.25G).", 53.74 + 10),
    ],
)  # fmt: skip
def test_a_refusal_of_the_compiler_is_read(refusal, need):
    def make(how):
        raise jax.errors.JaxRuntimeError(f"RESOURCE_EXHAUSTED: {refusal}")

    assert compiled(make, 10 * GIB, 30 * GIB) == pytest.approx(need * GIB)


def test_another_fault_of_the_compiler_is_one():
    def make(how):
        raise jax.errors.JaxRuntimeError("INTERNAL: Used 40.50G of 31.25G hbm.")

    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        compiled(make, 0.0, GIB)


def test_what_passes_the_compiler_may_be_too_much_for_a_chip():
    """It is tried with all effort before."""
    given, tried = jax.ShapeDtypeStruct((1000,), "float32"), []

    def make(how):
        tried.append(how)
        return {"train": jax.jit(lambda x: x + 1).lower(given).compile()}

    assert compiled(make, 4000, budget=7999) == 8000
    assert len(tried) == 2 and tried[1] is None
    assert set(compiled(make, 4000, budget=8000)) == {"train"}


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
