"""Plans as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from interaction.chips import GIB
from interaction.parallel.mesh import title


def _gib(n: float) -> str:
    return f"{n / GIB:10.2f} GiB"


def _flop(n: float) -> str:
    return f"{n / 1e12:14,.2f} T"


def plan(found: Mapping[str, Any]) -> str:
    slices = f" x {found['slices']} slices" if found["slices"] > 1 else ""
    head = f"{found['mode']} on {found['topology']}{slices}, mesh {title(found['mesh'])}"
    if not found["fits"]:
        return f"{head}: {_too_much(found)}"
    lines = [
        f"{head}: fits (compiled in {found['compile_s']:.0f} s)",
        "",
        "memory of a chip",
    ]
    lines += [f"  {name:28}{_gib(n)}" for name, n in found["held_bytes"].items()]
    memory = found["memory_bytes"]
    programs = memory if found["mode"] == "serve" else {"train": memory}
    for name, m in programs.items():
        lines += [f"  {'temporaries of ' + name:28}{_gib(m['temporaries'])}"]
        if found["mode"] == "train":
            lines += [f"  {'  activations, ' + part:28}{_gib(n)}"
                      for part, n in found["activations_bytes"].items()]  # fmt: skip
        lines += [f"  {'replaced in place by ' + name:28}{_gib(m['replaced'])}"]
    need, budget = found["needs_bytes"], found["budget_bytes"]
    lines += [f"  {'all, of ' + _gib(budget).strip():28}{_gib(need)}", ""]
    lines += _training(found) if found["mode"] == "train" else _serving(found)
    return "\n".join(lines)


def _too_much(found: Mapping[str, Any]) -> str:
    """One line."""
    need, budget = found["needs_bytes"], found["budget_bytes"]
    slices = f" --slices={found['slices']}" if found["slices"] > 1 else ""
    places = [f"{x['topology']}{slices} with {x['flags']}" for x in found["may_fit"]]
    if places:
        hint = f"nearest that may fit, by estimate: {', or '.join(places)}"
    else:
        hint = (
            "no slice of this kind may, by estimate: what is held needs "
            f"{found['least_chips']} chips alone"
        )
    if flags := found.get("rows_that_may"):
        hint += f"; here fewer rows may: {flags}"
    return f"does not fit: needs {need / GIB:.1f} of {budget / GIB:.1f} GiB a chip; {hint}"


def _links(sent: Sequence[Mapping[str, Any]]) -> list[str]:
    out = [f"  {'collective':22}{'axis':20}{'runs':>8}{'GiB a chip':>14}{'ms':>10}"]
    for one in sent:
        out.append(
            f"  {one['kind']:22}{one['axis']:20}{one['runs']:>8,}"
            f"{one['bytes'] / GIB:>14.2f}{one['seconds'] * 1e3:>10.1f}"
        )
    return out


def _times(line: Mapping[str, Any]) -> str:
    links = "".join(f", links {axis} {s * 1e3:.1f}" for axis, s in line["links_s"].items())
    return f"compute {line['compute_s'] * 1e3:.1f} ms, HBM {line['hbm_s'] * 1e3:.1f}{links}"


def _limit(p: Mapping[str, Any]) -> str:
    return f"limit: {p['limit']}, {p['limit_share']:.0%} of it"


def _parts(flops: Mapping[str, float]) -> list[str]:
    return [f"  {name:28}{_flop(n)}" for name, n in flops.items()]


def _training(found: Mapping[str, Any]) -> list[str]:
    flops = found["flops"]
    lines = ["sent in a step", *_links(found["sent"]), "", "FLOPs of a step, forward"]
    lines += _parts(flops["forward"])
    lines += [
        f"  {'needed, with the backward':28}{_flop(flops['needed'])}",
        f"  {'done, in all':28}{_flop(flops['done'])}",
        "",
        f"projected, a chip: {_times(found['roofline'])}",
    ]
    words = {"apart": "no overlap", "together": "full overlap"}
    for name, p in found["projected"].items():
        lines.append(
            f"  {words[name]:14} step {p['step_s']:.2f} s, "
            f"{p['positions_per_s_per_chip']:,.0f} positions/s/chip, MFU {p['mfu']:.1%}; "
            f"{_limit(p)}"
        )
    return lines


def _serving(found: Mapping[str, Any]) -> list[str]:
    p = found["projected"]
    lines = []
    for name, sent in found["sent"].items():
        lines += [f"sent in {name}", *_links(sent), ""]
        lines += [f"FLOPs of {name}, all sessions", *_parts(found["flops"][name]), ""]
    lines += [f"projected, {name}: {_times(x)}" for name, x in found["roofline"].items()]
    clock = "keeps the 200 ms clock" if p["keeps_the_clock"] else "is late"
    turn, most = p["micro_turn_s"] * 1e3, p["most"]
    return [
        *lines,
        f"  micro-turn of {p['sessions']} sessions: {turn:.1f} ms; {clock}; {_limit(p)}",
        f"  at most {most['sessions']} sessions; limit: {most['limit']} (memory has room "
        f"for {most['by_memory']} of {most['bytes_a_session'] / GIB:.3f} GiB, 200 ms for "
        f"{most['by_clock']})",
    ]


def ranking(candidates: Sequence[Any]) -> str:
    lines = [f"{'mesh':40}{'estimated GiB':>14}{'step s':>10}{'limit':>24}"]
    for c in candidates:
        size = f"{c.bytes / GIB:.1f}" + ("" if c.fits else " !")
        lines.append(f"{title(c.sizes):40}{size:>14}{c.seconds:>10.3f}{c.limit:>24}")
    return "\n".join(lines) + "\n"
