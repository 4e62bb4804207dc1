"""What compiled TPU programs sum, and in what: kernels and their units, collectives, and
every sum that is left to the compiler."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
from jax._src.interpreters import mlir
from jaxlib.mlir import ir

from interaction.config import ModelConfig
from interaction.hlo import operation
from interaction.ops import tpu
from interaction.pod import compile_training, compile_turn, pod_mesh

try:  # where Mosaic's dialect is depends on jaxlib
    from jaxlib.mosaic.python import tpu as mosaic
except ImportError:
    from jax._src.lib import tpu as mosaic  # type: ignore[no-redef]

EXACT = ("maximum", "minimum", "and", "or")  # whose result no order changes


class Program(NamedTuple):
    """units: kernel -> the matrix unit's products in it, such as `128x512 512x128`;
    collectives: kind -> how many; reordering: collectives whose sums have no promised
    order; products, sums: where the compiler chose the order, by the name of their op."""

    kernels: dict[str, int]
    units: dict[str, set[str]]
    collectives: dict[str, int]
    reordering: list[str]
    products: list[str]
    sums: list[str]


def read(program: jax.stages.Compiled) -> Program:
    text = program.as_text() or ""
    reducers = _reducers(text)
    found = Program({}, {}, {}, [], [], [])
    for line in text.splitlines():
        kind = operation(line).removesuffix("-start")
        name = re.search(r'op_name="([^"]*)"', line)
        where = name[1] if name else line.split("=")[0].strip()
        if kind == "custom-call" and '"tpu_custom_call"' in line:
            kernel = re.sub(r"^(ROOT )?%|[.\d]*$", "", line.split("=")[0].strip())
            found.kernels[kernel] = found.kernels.get(kernel, 0) + 1
            found.units.setdefault(kernel, set()).update(_units(line))
        elif kind == "all-reduce" and _disjoint(line, text):
            gathers = found.collectives.get("all-gather", 0)
            found.collectives["all-gather"] = gathers + 1
        elif kind in ("all-reduce", "reduce-scatter"):
            found.collectives[kind] = found.collectives.get(kind, 0) + 1
            if _reducer(line, reducers) not in EXACT:
                found.reordering.append(where)
        elif kind in ("all-gather", "collective-permute", "all-to-all"):
            found.collectives[kind] = found.collectives.get(kind, 0) + 1
        elif kind in ("dot", "convolution"):
            found.products.append(where)
        elif kind in ("reduce", "reduce-window") and _adds(line, text, reducers):
            found.sums.append(where)
    return found


def _reducers(text: str) -> dict[str, str]:
    """Computation -> the operation at its root."""
    roots, name = {}, ""
    for line in text.splitlines():
        if line.startswith("%") and line.endswith("{"):
            name = line.split()[0].lstrip("%")
        elif line.startswith("  ROOT ") and name:
            roots[name] = operation(line)
    return roots


def _reducer(line: str, reducers: dict[str, str]) -> str:
    match = re.search(r"to_apply=%?([\w.\-]+)", line)
    return reducers.get(match[1], "") if match else ""


def _disjoint(line: str, text: str) -> bool:
    """Whether it gathers small arrays: XLA writes each device's slice into zeros and adds
    those, where no element has two terms."""
    operands = re.search(r" all-reduce(?:-start)?\(([^)]*)\)", line)
    parts = operands[1].split(", ") if operands else []
    return bool(parts) and all(
        "dynamic-update-slice" in _origin(part.lstrip("%"), text) for part in parts
    )


def _origin(name: str, text: str) -> str:
    """The operation that an array was copied from."""
    made = re.search(
        rf"%{re.escape(name)} = .*? (?:copy|copy-start|copy-done)\(%([\w.\-]+)", text
    )
    return _origin(made[1], text) if made else name


def _adds(line: str, text: str, reducers: dict[str, str]) -> bool:
    """Whether a reduction adds floats, more than one."""
    if _reducer(line, reducers) != "add" or not re.search(r"= \(?(f32|bf16)\[", line):
        return False
    operand = re.search(r"reduce(?:-window)?\(%([\w.\-]+)", line)
    shape = (
        re.search(rf"%{re.escape(operand[1])} = \w+\[([\d,]*)\]", text) if operand else None
    )
    along = re.search(r"dimensions=\{([\d,]*)\}", line)
    if not shape or not along:
        return True
    sizes = [int(n) for n in shape[1].split(",")]
    return any(sizes[int(d)] > 1 for d in along[1].split(",") if d)


def _units(line: str) -> set[str]:
    """The products that a kernel gives to the matrix unit, from its own code."""
    config = json.JSONDecoder().raw_decode(line[line.index("backend_config=") + 15 :])[0]
    body = base64.b64decode(config["custom_call_config"]["body"])
    context = mlir.JaxIrContext()
    context.append_dialect_registry(mlir.upstream_dialects)
    mosaic.register_dialect(context)
    context.allow_unregistered_dialects = True
    context.load_all_available_dialects()
    with context:
        code = str(ir.Module.parse(body))
    shapes = re.findall(r"tpu\.matmul\"?\(.*: \(vector<(\S+?)>, vector<(\S+?)>", code)
    return {" ".join(re.sub(r"x[a-z]+\d+$", "", s) for s in pair) for pair in shapes}


DECODER = "jit(fft)"
"""Products that XLA chooses the order of: the voice decoder's Fourier transforms, of one
stream at a time, whose shape nothing changes. (Its phase is a running sum of 4 numbers.)"""


def faults(programs: dict[str, Program]) -> list[str]:
    """What could give one row other bits in another program; empty if nothing."""
    found = []
    for name, program in programs.items():
        found += [f"{name}: {op} sums in no promised order" for op in program.reordering]
        found += [
            f"{name}: product left to XLA: {op}"
            for op in program.products
            if DECODER not in op
        ]
        if name != "train":  # there: of gradients and losses, the same on every mesh
            found += [
                f"{name}: sum left to XLA: {op}"
                for op in program.sums
                if "reduce-window" not in op
            ]
        for units in program.units.values():
            found += [f"{name}: unit {unit} is not pinned" for unit in units - PINNED]
    trained = programs.get("train", Program({}, {}, {}, [], [], [])).units
    for name in programs.keys() - {"train"} if trained else ():
        for kernel, units in programs[name].units.items():
            found += [
                f"{name}: {kernel} {unit} is not in the training step"
                for unit in units - trained.get(kernel, set())
            ]
    return found


def _pinned() -> set[str]:
    terms = range(tpu.UNIT, tpu.TERMS + 1, tpu.UNIT)
    left = {f"{tpu.UNIT}x{t} {t}x{tpu.UNIT}" for t in terms}
    turned = {f"{tpu.UNIT}x{t} {tpu.UNIT}x{t}" for t in terms}
    return left | turned


PINNED = _pinned()


def compile_all(
    config: Any,
    cfg: ModelConfig,
    topology: str,
    sizes: Mapping[str, int],
    slots: int,
    options: dict[str, Any] | None = None,
) -> Iterator[tuple[str, Program]]:
    """The programs that serve and, if the config has `train`, the one that trains.
    options: of the compiler."""
    mesh = pod_mesh(topology, sizes)
    if "train" in config:
        yield "train", read(compile_training(config, cfg, mesh, options=options))
    for name, program in compile_turn(cfg, mesh, slots, options=options).items():
        yield name, read(program)
