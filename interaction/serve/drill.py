"""What a background that goes wrong does to the conversations beside it.

    python -m interaction.serve.drill --checkpoint=nano --report=drill.json

Several conversations take turns as fast as they go; beside them, in a server's event loop,
tasks run whose tools crash, hang, answer nonsense or 10 MB, whose mind is lost half-way, or
of which there are twenty at once. Each is measured by turns with tasks that go well. Told:
the 99th percentile of ticks of both, what the interaction model was told, and what was left
behind (processes, tasks, open files).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from interaction import report
from interaction.background.backends.scripted import ScriptedBackend
from interaction.background.partner import Partner
from interaction.background.protocol import ToolSpec
from interaction.background.toolbox import Result, Toolbox
from interaction.background.tools.calculator import Calculator
from interaction.background.tools.python import Python
from interaction.conversation import Words
from interaction.errors import InputError, run_command
from interaction.grammar import Kind
from interaction.package import Package, open_package
from interaction.serve.curve import dialogues
from interaction.serve.engine import Engine

HANG_S = 1.0  # that a call may take
SETTLE_S = 15.0  # for what is left to end
NOTHING = {"type": "object", "properties": {}}


class _Bad:
    """A tool that does one thing wrong."""

    def __init__(self, name: str, call: Callable[[], Any]) -> None:
        self.spec, self._call = ToolSpec(name, "goes wrong", NOTHING), call

    async def call(self, arguments: dict[str, Any]) -> Result:
        made = self._call()
        return await made if asyncio.iscoroutine(made) else made

    async def close(self) -> None: ...


def _crash() -> Result:
    raise RuntimeError("the tool fell over")


BAD = (
    _Bad("crash", _crash),
    _Bad("hang", lambda: asyncio.sleep(1e6)),
    _Bad("nonsense", lambda: {"no": "result"}),
    _Bad("huge", lambda: Result("x" * 10_000_000)),
)


def _calls(tool: str, **arguments: Any) -> list[dict[str, Any]]:
    return [{"call": tool, "arguments": arguments}, {"final": "it is {result}"}]


FINE = "fine"
SCRIPT = {
    FINE: _calls("calculator", expression="123 * 456"),
    **{tool.spec.name: _calls(tool.spec.name) for tool in BAD},
    "endless program": _calls("python", code="while True: pass"),
    "lost": [{"think": "well"}, {"say": "one moment"}, {"lose": True}],
    "twenty": [{"wait_s": 1.0}, {"final": "done"}],
}
FAULTS = {name: 20 if name == "twenty" else 1 for name in SCRIPT if name != FINE}


class Left(NamedTuple):
    """What a process holds."""

    processes: int
    tasks: int
    files: int


@dataclass
class Found:
    """tick_ms: while its tasks ran; told: what the interaction model read of them."""

    tick_ms: list[float] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


class Background:
    """One partner in an event loop of its own, as a server has it."""

    def __init__(self, folder: Path) -> None:
        script = folder / "script.json"
        rules = [{"match": f"^{name}$", "steps": steps} for name, steps in SCRIPT.items()]
        script.write_text(json.dumps(rules))
        self._script, self._ready = script, threading.Event()
        self.told: list[str] = []
        self._number = 0
        threading.Thread(target=lambda: asyncio.run(self._live()), daemon=True).start()
        self._ready.wait()

    async def _live(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        tools = Toolbox([Calculator(), Python(), *BAD], longest_s=HANG_S)
        self._partner = Partner(
            ScriptedBackend(self._script), tools, self._read, lambda told: None
        )
        self._ready.set()
        await self._over.wait()
        await self._partner.close()

    def _read(self, text: str) -> bool:
        self.told.append(text)
        return True

    def open(self, scenario: str) -> None:
        self._loop.call_soon_threadsafe(self._open, scenario)

    def _open(self, scenario: str) -> None:
        self._number += 1
        partner = self._partner
        partner.desk.open(partner.memory.context(f"task_{self._number}", 0.0, scenario, ()))

    def open_tasks(self) -> int:
        return len(self._partner.desk.open_tasks)

    def left(self) -> Left:
        """Once what ends has ended."""
        end = time.monotonic() + SETTLE_S
        while self.open_tasks() and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.2)
        me = os.getpid()
        children = Path(f"/proc/{me}/task/{me}/children").read_text().split()
        tasks = asyncio.run_coroutine_threadsafe(_count(), self._loop).result()
        return Left(len(children), tasks, len(os.listdir(f"/proc/{me}/fd")))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)


async def _count() -> int:
    return len(asyncio.all_tasks()) - 1


def _round(
    engine: Engine, seats: Sequence[Any], said: np.ndarray, background: Background,
    scenario: str, ticks: int, found: Found,
) -> None:  # fmt: skip
    """Begins a scenario's tasks, and again whenever they have ended, for so many ticks."""
    mine, read = len(background.told), len(background.told)
    for _ in range(ticks):
        if not background.open_tasks():
            for _ in range(FAULTS.get(scenario, 1)):
                background.open(scenario)
        news, read = background.told[read:], len(background.told)
        words = [Words(text[:200], Kind.BACKGROUND) for text in news[:4]]
        began = time.perf_counter()
        engine.tick({
            seat: seat.talk.check(said[n, seat.talk.turn % said.shape[1]], None, words)
            for n, seat in enumerate(seats)
        })  # fmt: skip
        found.tick_ms.append(1e3 * (time.perf_counter() - began))
        time.sleep(0.005)  # as a clock does, it leaves the loop some room
    background.left()
    found.told += background.told[mine:]


def measure(package: Package, sessions: int, ticks: int, rounds: int) -> dict[str, Any]:
    engine, said = Engine(package, sessions), dialogues(sessions)
    seats = [engine.admit() for _ in range(sessions)]
    with tempfile.TemporaryDirectory() as folder:
        background = Background(Path(folder))
        try:
            warm, before = Found(), background.left()
            _round(engine, seats, said, background, FINE, 20, warm)
            pairs = {name: (Found(), Found()) for name in FAULTS}
            steps = [name for _ in range(rounds) for name in FAULTS]
            for name in track(steps, "drilling"):
                for found, scenario in zip(pairs[name], (FINE, name), strict=True):
                    _round(engine, seats, said, background, scenario, ticks, found)
            after = background.left()
        finally:
            background.close()
    return {
        "sessions": sessions,
        "ticks": ticks * rounds,
        "before": before._asdict(),
        "after": after._asdict(),
        "faults": {name: _compared(*pair) for name, pair in pairs.items()},
    }


def _compared(fine: Found, faulty: Found) -> dict[str, Any]:
    both = [float(np.percentile(found.tick_ms, 99)) for found in (fine, faulty)]
    return {
        "fine_p99_ms": round(both[0], 2),
        "p99_ms": round(both[1], 2),
        "ratio": round(both[1] / both[0], 3),
        "told": sorted({text[:80] for text in faulty.told}),
        "times": len(faulty.told),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m interaction.serve.drill",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--checkpoint", required=True)
    add("--sessions", type=int, default=4)
    add("--ticks", type=int, default=150, help="of a fault, each time")
    add("--rounds", type=int, default=3, help="times that each fault has its turn")
    add("--report", type=Path, help="figures: json")
    args = parser.parse_args()
    if min(args.sessions, args.ticks, args.rounds) < 1:
        raise InputError("--sessions, --ticks and --rounds start at 1")
    found = measure(open_package(args.checkpoint), args.sessions, args.ticks, args.rounds)
    table = Table("fault", "p99 ms", "with fine tasks", "ratio", "told", box=None)
    for name, row in found["faults"].items():
        first = row["told"][0] if row["told"] else "nothing"
        table.add_row(name, f"{row['p99_ms']}", f"{row['fine_p99_ms']}", f"{row['ratio']}",
                      f"{row['times']} times: {first}")  # fmt: skip
    Console().print(table)
    print(f"before: {found['before']}; after: {found['after']}")
    if args.report:
        head = report.header("interaction.drill/1", {"checkpoint": args.checkpoint})
        report.write_report(args.report, head | found)
    untold = [name for name, row in found["faults"].items() if not row["told"]]
    return int(found["before"] != found["after"] or bool(untold))


if __name__ == "__main__":
    run_command(main)
