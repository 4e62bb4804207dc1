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
from interaction.parallel.mesh import AXES, title
from interaction.parallel.placement import held_bytes
from interaction.planning import search, show
from interaction.planning.fit import compiled
from interaction.planning.nearest import SLICES, Asked, least_chips, may_fit
from interaction.planning.training import fewer_rows, held_in_training
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
    assert "nearest that may fit, by estimate: v6e:16x16 with --mesh=" in line
    assert (
        "--config.train.batch=128 --config.train.flow_rows=32768 --config.train.batch_s"
        in line
    )


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--mode=train"], "--topology"),
        (["--mode=train", "--topology=v9:2x2"], "v9:2x2: kinds are v5e, v5p, v6e, tpu7x"),
        (["--mode=train", "--topology=v5p:9"], "v5p:9"),
        (["--mode=train", "--topology=v5p:2x2x1", "--mesh=fsdp=8"], "where there are 4"),
        (["--mode=serve", "--topology=v5p:2x2x1", "--slots=0"], "--slots"),
        (["--mode=train", "--topology=v5p:2x2x1", "--mesh=fsdp=4", "--search"], "--search"),
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


@pytest.fixture(scope="module")
def tml():
    config = load(TML, [])
    return config, ModelConfig.from_mapping(config.model.to_dict())


def test_the_slice_that_may_fit_is_the_smallest_that_the_estimate_lets(tml):
    """For all rows, and a smaller one for fewer; each with room for what an estimate has
    been short of."""
    config, cfg = tml
    asked = Asked(config, cfg, "train", "v5p:2x2x2", 1, {"fsdp": 8}, 512)
    asked = asked._replace(sizes=dict.fromkeys(AXES, 1) | {"fsdp": 8})
    fewer, whole = may_fit(asked)
    for place, rows in ((fewer, range(2, 512)), (whole, [512])):
        assert place["rows"] in rows
        assert math.prod(place["mesh"].values()) == chips(place["topology"])
        assert 1.2 * asked.estimate(place["mesh"], place["rows"]) <= CHIPS["v5p"].hbm_bytes
    assert chips(fewer["topology"]) < chips(whole["topology"])
    half = next(name for name, n in SLICES["v5p"] if 2 * n == chips(whole["topology"]))
    assert fewer["topology"] == f"v5p:{half}"
    assert f"--config.train.batch={fewer['rows']} " in fewer["flags"]


def test_what_a_compiler_refused_is_not_offered_again(tml):
    config, cfg = tml
    asked = Asked(config, cfg, "serve", "v6e:4x8", 1, dict.fromkeys(AXES, 1), 8)
    (place,) = may_fit(asked)
    estimate = asked.estimate(place["mesh"], 8)
    refused = asked._replace(sizes=place["mesh"], need=2 * estimate)
    (other,) = may_fit(refused)
    assert chips(other["topology"]) > chips(place["topology"])


def test_where_no_slice_may_do_it_is_said_how_much_is_held(tml):
    config, cfg = tml
    asked = Asked(config, cfg, "train", "v5e:4x4", 1, dict.fromkeys(AXES, 1), 512)
    assert may_fit(asked) == []
    # Parameters and Muon's one moment, both float32, of 276 billion.
    assert least_chips(asked) == pytest.approx(276e9 * 8 / CHIPS["v5e"].hbm_bytes, rel=0.02)


def chips(topology):
    return math.prod(int(n) for n in topology.split(":")[1].split("x"))


def test_the_ranking_is_by_time_of_those_that_fit(tml):
    """Of `v5p:8x8x8`. The config's own mesh is not the first, but within a tenth: those
    before it send rows to 16 devices or more, so gather less of the layers, and the
    estimate takes routing as even, which fewer experts on a device are less."""
    ranked = search.ranked(*tml, "train", "v5p:8x8x8", 1, 8)
    assert [c.fits for c in ranked] == sorted((c.fits for c in ranked), reverse=True)
    fit = [c for c in ranked if c.fits]
    assert [c.seconds for c in fit] == sorted(c.seconds for c in fit)
    legal = list(search.legal(tml[1], 512, 1, rows=512))
    assert len(ranked) == len(legal) and all(c.sizes in legal for c in ranked)
    own = tml[0].train.mesh.to_dict()
    at = next(i for i, c in enumerate(fit) if c.sizes == own)
    assert at < 8 and fit[at].seconds < 1.1 * fit[0].seconds
    assert all(c.sizes["expert"] > own["expert"] for c in fit[:at])
    lines = show.ranking(ranked).splitlines()
    assert len(lines) == 1 + len(ranked)
    assert lines[1].startswith(title(fit[0].sizes)) and "compute" in lines[1]
    assert all((" !" in line) != c.fits for line, c in zip(lines[1:], ranked, strict=True))


@pytest.mark.parametrize(
    ("args", "config_s"),
    [
        (["--mode=train", "--topology=v5p:8x8x8"], True),
        (["--mode=train", "--topology=v5p:4x4x8", "--config.train.batch=128"], False),
        (["--mode=serve", "--topology=v5p:2x2x2"], False),
    ],
)
def test_the_mesh_is_the_configs_where_it_takes_all_devices(args, config_s):
    args, overrides = plan.arguments([f"--config={TML}", *args])
    config, cfg = plan.configured(args, overrides)
    sizes = plan._mesh(config, cfg, args)
    assert (sizes == config.train.mesh.to_dict()) == config_s
    if not config_s:
        best = search.ranked(config, cfg, args.mode, args.topology, 1, args.slots)[0]
        assert sizes == best.sizes


def test_an_average_of_the_parameters_counts():
    """It is held in float32 beside the step, as the parameters are divided."""
    config = load(NANO, [])
    cfg = ModelConfig.from_mapping(config.model.to_dict())
    mesh = pod.pod_mesh("v5p:2x2x1", {"fsdp": 2, "expert": 2}, 1)
    given = pod.describe_training(config, cfg, mesh)
    without = held_in_training(config, given)
    estimate = search.state_bytes(config.train, cfg, dict(mesh.shape))
    config.train.ema = 0.999
    held = held_in_training(config, given)
    more = sum(held.values()) - sum(without.values())
    assert more == held["average of parameters"] == held["parameters"]
    estimate = search.state_bytes(config.train, cfg, dict(mesh.shape)) - estimate
    assert estimate == pytest.approx(more, rel=1e-4)


def test_the_second_state_of_a_rule_for_spikes_counts():
    config = load("tests/tiny.py", [])
    cfg = ModelConfig.from_mapping(config.model.to_dict())
    mesh = pod.pod_mesh("v5p:2x2x1", {"fsdp": 2, "expert": 1}, 1)
    sizes = dict(mesh.shape)
    without = search.training_bytes(config, cfg, sizes, 2)
    config.train.spike = 3.0
    state = search.state_bytes(config.train, cfg, sizes)
    assert search.training_bytes(config, cfg, sizes, 2) == without + state
    traced = pod.trace_training(config, cfg, mesh)
    given = pod.describe_training(config, cfg, mesh)
    # Beside what the step is given: the rate of the bias, the clip, and the limit.
    assert len(jax.tree.leaves(traced.in_avals)) == len(jax.tree.leaves(given)) + 3
