"""Plans that have been compiled: what is counted from them, and what their programs do."""

from __future__ import annotations

import json

import pytest

from interaction import plan
from interaction.planning import search
from interaction.planning.nearest import SHORT
from tests.planning.renew import GOLDENS, counted

PLANS = {path.stem: json.loads(path.read_text()) for path in GOLDENS.glob("*.json")}
TML_TRAIN = [name for name in PLANS if name.startswith("tml-train")]
TML_SERVE = [name for name in PLANS if name.startswith("tml-serve")]


def same(now, then):
    if isinstance(now, dict):
        assert now.keys() == then.keys()
        for name in now:
            same(now[name], then[name])
    else:
        assert now == (then if isinstance(then, str) else pytest.approx(then)), then


@pytest.mark.parametrize("name", PLANS)
def test_what_takes_no_compiler_is_counted_again(name):
    """Renewed by `python tests/planning/renew.py --counted`."""
    golden = PLANS[name]
    now = counted(golden, traced=False)
    assert now.keys() <= golden.keys()
    same(now, {part: golden[part] for part in now})


@pytest.mark.parametrize("name", TML_TRAIN)
def test_rows_travel_to_their_experts(name):
    """By exchanges over `expert` in every layer: there, back, and for gradients."""
    golden = PLANS[name]
    over = [one for one in golden["sent"] if one["axis"] == "expert"]
    exchanged = [one for one in over if one["kind"].endswith("all-to-all")]
    assert sum(one["runs"] for one in exchanged) >= 42 * search.EXCHANGES
    assert sum(one["bytes"] for one in exchanged) > 2**30


@pytest.mark.parametrize("name", TML_SERVE)
def test_a_micro_turn_writes_over_the_cache(name):
    golden = PLANS[name]
    for program, memory in golden["memory_bytes"].items():
        assert memory["replaced"] >= golden["held_bytes"]["cache"], program


@pytest.mark.parametrize("name", [*TML_TRAIN, *TML_SERVE])
def test_both_projections_name_what_limits_them(name):
    """And how much of their time it is: the longest of all terms."""
    golden = PLANS[name]
    if name in TML_SERVE:
        lines, entries = [*golden["roofline"].values()], [golden["projected"]]
        seconds = [golden["projected"]["micro_turn_s"]]
    else:
        lines, entries = [golden["roofline"]], [*golden["projected"].values()]
        seconds = [entry["step_s"] for entry in entries]
        assert entries[1]["limit_share"] == 1 > entries[0]["limit_share"]
    terms = {}
    for line in lines:
        links = {f"links of {axis}": s for axis, s in line["links_s"].items()}
        for term, s in (
            {"compute": line["compute_s"], "HBM": line["hbm_s"]} | links
        ).items():
            terms[term] = terms.get(term, 0) + s
    for entry, whole in zip(entries, seconds, strict=True):
        assert terms[entry["limit"]] == max(terms.values())
        assert entry["limit_share"] == pytest.approx(max(terms.values()) / whole)


@pytest.mark.parametrize("name", TML_SERVE)
def test_sessions_at_most_keep_the_clock_and_fit(name):
    golden = PLANS[name]
    most, slots = golden["projected"]["most"], golden["projected"]["sessions"]
    assert most["sessions"] == min(most["by_memory"], most["by_clock"])
    grouped = golden["mesh"]["data"] * golden["mesh"]["expert"]
    more = (most["by_memory"] - slots) / grouped * most["bytes_a_session"]
    room = golden["budget_bytes"] - golden["needs_bytes"]
    assert more <= room < more + most["bytes_a_session"]
    turn = lambda n: _turn(golden, n)  # noqa: E731
    assert turn(most["by_clock"]) <= 0.2 < turn(most["by_clock"] + grouped)


def _turn(golden, sessions):
    """Seconds, from a plan of so many sessions."""
    more = sessions / golden["projected"]["sessions"]
    args = [a for a in golden["args"] if not a.startswith("--slots")]
    at = {"cache": golden["held_bytes"]["cache"] * more}
    sent = {name: [one | {"seconds": one["seconds"] * more} for one in all_]
            for name, all_ in golden["sent"].items()}  # fmt: skip
    other = golden | {"args": [*args, f"--slots={sessions}"], "sent": sent}
    other["held_bytes"] = golden["held_bytes"] | at
    return counted(other)["projected"]["micro_turn_s"]


@pytest.mark.parametrize("name", [*TML_TRAIN, *TML_SERVE])
def test_estimates_are_short_of_what_programs_take_by_so_much_at_most(name):
    golden = PLANS[name]
    args, overrides = plan.arguments(golden["args"])
    config, cfg = plan.configured(args, overrides)
    if args.mode == "train":
        about = search.training_bytes(config, cfg, golden["mesh"], config.train.batch)
    else:
        about = search.serving_bytes(cfg, golden["mesh"], args.slots)
    assert 1 <= golden["needs_bytes"] / about <= SHORT[args.mode]


@pytest.mark.parametrize("name", TML_TRAIN)
def test_layers_keep_their_input_and_what_experts_gave(name):
    """With `remat`: two arrays of the width a layer, in bfloat16, of a chip's rows; little
    beside them."""
    golden = PLANS[name]
    args, overrides = plan.arguments(golden["args"])
    config, cfg = plan.configured(args, overrides)
    rows = config.train.batch / (golden["mesh"]["data"] * golden["mesh"]["fsdp"]
                                 * golden["mesh"]["expert"])  # fmt: skip
    two = 2 * cfg.layers * rows * config.data.positions * cfg.width * 2
    kept = golden["activations_bytes"]
    assert two <= kept["layers"] < 1.1 * two
    assert sum(kept.values()) < golden["memory_bytes"]["temporaries"]
