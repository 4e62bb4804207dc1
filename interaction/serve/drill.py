"""What a background that goes wrong does to the conversations beside it.

    python -m interaction.serve.drill --checkpoint=nano --report=drill.json

Several conversations take turns by the clock of 200 ms; beside them, in a server's event
loop, tasks run whose tool dies, hangs, babbles or answers 10 MB (an MCP server over stdio),
whose program never ends, whose mind breaks off in the middle of a reply (a chat-completions
endpoint), or of which there are twenty at once. Each has its turn after tasks that go well,
again and again, so that what else the machine does falls on all alike. Told: the 99th
percentile of its ticks beside that of all ticks with tasks that go well, what the
interaction model was told, and what was left behind (processes, tasks, open files). It
fails where the model was told nothing, or something was left; the ticks' ratio is told,
with its 95% interval, and fails nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from interaction import report
from interaction.background.backends.openai import OpenAIBackend
from interaction.background.backends.scripted import ScriptedBackend
from interaction.background.partner import Partner
from interaction.background.protocol import Context, Update
from interaction.background.toolbox import Confirm, Toolbox
from interaction.background.toolset import open_tools
from interaction.conversation import TURN_S, Words
from interaction.errors import InputError, run_command
from interaction.grammar import Kind
from interaction.package import Package, open_package
from interaction.serve import drill_servers
from interaction.serve.curve import dialogues
from interaction.serve.engine import Engine

HANG_S = 4.0  # that a call may take
SETTLE_S = 15.0  # for what is left to end
EVERY = 5  # ticks: nobody delegates more often than once a second
WANTED = 1.10  # of the ratio
DRAWS = 1_000  # of the bootstrap
SERVERS = Path(drill_servers.__file__)


def _calls(tool: str, **arguments: Any) -> list[dict[str, Any]]:
    return [{"call": tool, "arguments": arguments}, {"final": "it is {result}"}]


FINE = "fine"
SCRIPT = {
    FINE: _calls("calculator", expression="123 * 456"),
    **{name: _calls(name) for name in drill_servers.TOOLS},
    "endless program": _calls("python", code="while True: pass"),
    "twenty": [{"wait_s": 1.0}, {"final": "done"}],
}
CUT = "cut reply"  # by the endpoint, and in no script
FAULTS = {name: 20 if name == "twenty" else 1 for name in [*SCRIPT, CUT] if name != FINE}


class Left(NamedTuple):
    """What a process holds."""

    processes: int
    tasks: int
    files: int


@dataclass
class Found:
    """blocks: ms of ticks, of each turn it had; told: what the interaction model read."""

    blocks: list[list[float]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def p99(self, drawn: np.ndarray | None = None) -> float:
        """drawn: blocks; else all."""
        which = self.blocks if drawn is None else [self.blocks[n] for n in drawn]
        return float(np.percentile(np.concatenate(which), 99))


class _Minds:
    """A script, and an endpoint that breaks off."""

    def __init__(self, script: Path, port: int) -> None:
        self._scripted = ScriptedBackend(script)
        self._cut = OpenAIBackend("m", f"http://127.0.0.1:{port}/v1", retries=0)

    def run(
        self, context: Context, tools: Toolbox, confirm: Confirm
    ) -> AsyncIterator[Update]:
        mind = self._cut if context.directive == CUT else self._scripted
        return mind.run(context, tools, confirm)

    async def close(self) -> None:
        await self._cut.close()


@contextlib.contextmanager
def _endpoint() -> Iterator[int]:
    """-> its port."""
    command = [sys.executable, str(SERVERS), "mind"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


class Background:
    """One partner in an event loop of its own, as a server has it. Raises InputError."""

    def __init__(self, folder: Path, port: int) -> None:
        script, servers = folder / "script.json", folder / "mcp.json"
        rules = [{"match": f"^{name}$", "steps": steps} for name, steps in SCRIPT.items()]
        script.write_text(json.dumps(rules))
        faulty = {"command": sys.executable, "args": [str(SERVERS), "tools"]}
        servers.write_text(json.dumps({"mcpServers": {"faulty": faulty}}))
        self.told: list[str] = []
        self._number = 0
        begun: Future[None] = Future()
        live = self._live(_Minds(script, port), servers, begun)
        self._thread = threading.Thread(target=asyncio.run, args=(live,), daemon=True)
        self._thread.start()
        begun.result()

    async def _live(self, minds: _Minds, servers: Path, begun: Future[None]) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with open_tools(servers, None) as tools:
                box = Toolbox(tools, longest_s=HANG_S)
                self._partner = Partner(minds, box, self._read, lambda told: None)
                begun.set_result(None)
                await self._over.wait()
                await self._partner.close()
            await minds.close()
        except BaseException as error:
            if begun.done():
                raise
            begun.set_exception(error)

    def _read(self, text: str) -> bool:
        self.told.append(text)
        return True

    def turn(self) -> None:
        """A micro-turn of the conversation has passed."""
        self._loop.call_soon_threadsafe(self._partner.reading.turn)

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
        while time.monotonic() < end and (self.open_tasks() or self._partner.reading.waits):
            self.turn()
            time.sleep(0.02)
        time.sleep(0.2)
        me = os.getpid()
        each = Path(f"/proc/{me}/task").glob("*/children")  # by the thread that began it
        children = [child for file in each for child in file.read_text().split()]
        tasks = asyncio.run_coroutine_threadsafe(_count(), self._loop).result()
        return Left(len(children), tasks, len(os.listdir(f"/proc/{me}/fd")))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(SETTLE_S)


async def _count() -> int:
    return len(asyncio.all_tasks()) - 1


def _block(
    engine: Engine, seats: Sequence[Any], said: np.ndarray, background: Background,
    scenario: str, ticks: int, found: Found,
) -> None:  # fmt: skip
    """So many ticks. Each second of the conversation that finds no task open begins the
    scenario's, when its tick is over, as a model does."""
    mine, read, block = len(background.told), len(background.told), []
    due = time.perf_counter()
    for n in range(ticks):
        news, read = background.told[read:], len(background.told)
        words = [Words(text[:200], Kind.BACKGROUND) for text in news[:4]]
        time.sleep(max(due - time.perf_counter(), 0.0))
        began = time.perf_counter()
        engine.tick({
            seat: seat.talk.check(said[i, seat.talk.turn % said.shape[1]], None, words)
            for i, seat in enumerate(seats)
        })  # fmt: skip
        background.turn()
        block.append(1e3 * (time.perf_counter() - began))
        if n % EVERY == 0 and not background.open_tasks():
            for _ in range(FAULTS.get(scenario, 1)):
                background.open(scenario)
        due = max(due + TURN_S, time.perf_counter())
    background.left()
    found.blocks.append(block)
    found.told += background.told[mine:]


def measure(package: Package, sessions: int, ticks: int, rounds: int) -> dict[str, Any]:
    engine, said = Engine(package, sessions), dialogues(sessions)
    seats = [engine.admit() for _ in range(sessions)]
    with tempfile.TemporaryDirectory() as folder, _endpoint() as port:
        background = Background(Path(folder), port)
        try:
            for scenario in (*FAULTS, FINE):  # what is opened once stays open
                _block(engine, seats, said, background, scenario, 5, Found())
            before = background.left()
            found = {name: Found() for name in (FINE, *FAULTS)}
            steps = [
                name for _ in range(rounds) for each in FAULTS for name in (FINE, each)
            ]
            for name in track(steps, "drilling"):
                _block(engine, seats, said, background, name, ticks, found[name])
            after = background.left()
        finally:
            background.close()
    return {
        "sessions": sessions,
        "ticks": ticks * rounds,
        "before": before._asdict(),
        "after": after._asdict(),
        "fine_p99_ms": round(found[FINE].p99(), 2),
        "faults": {name: _compared(found[FINE], found[name]) for name in FAULTS},
    }


def _compared(fine: Found, faulty: Found) -> dict[str, Any]:
    ratio = faulty.p99() / fine.p99()
    return {
        "p99_ms": round(faulty.p99(), 2),
        "ratio": round(ratio, 3),
        "ci95": [round(end, 3) for end in _interval(fine, faulty)],
        "met": ratio <= WANTED,
        "told": sorted({text[:80] for text in faulty.told}),
        "times": len(faulty.told),
    }


def _interval(fine: Found, faulty: Found) -> list[float]:
    """Of the ratio: 95% percentile bootstrap over blocks, as a busy moment fills one."""
    rng = np.random.default_rng(0)

    def drawn(found: Found) -> float:
        return found.p99(rng.integers(len(found.blocks), size=len(found.blocks)))

    ratios = [drawn(faulty) / drawn(fine) for _ in range(DRAWS)]
    return [float(end) for end in np.percentile(ratios, [2.5, 97.5])]


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
    add("--ticks", type=int, default=50, help="of a fault, each time")
    add("--rounds", type=int, default=10, help="times that each fault has its turn")
    add("--report", type=Path, help="figures: json")
    args = parser.parse_args()
    if min(args.sessions, args.ticks, args.rounds) < 1:
        raise InputError("--sessions, --ticks and --rounds start at 1")
    logging.getLogger("mcp").setLevel(logging.CRITICAL)  # what is no JSON is meant to be
    found = measure(open_package(args.checkpoint), args.sessions, args.ticks, args.rounds)
    wanted = f"at most {WANTED:.2f}"
    table = Table("fault", "p99 ms", "ratio", "95%", wanted, "told", box=None)
    for name, row in found["faults"].items():
        first = row["told"][0] if row["told"] else "nothing"
        met = "met" if row["met"] else "missed"
        figures = [f"{row['p99_ms']}", f"{row['ratio']}", "{} to {}".format(*row["ci95"])]
        table.add_row(name, *figures, met, f"{row['times']} times: {first}")
    Console().print(table)
    print(f"p99 with tasks that go well: {found['fine_p99_ms']} ms")
    print(f"before: {found['before']}; after: {found['after']}")
    if args.report:
        head = report.header("interaction.drill/1", {"checkpoint": args.checkpoint})
        report.write_report(args.report, head | found)
    untold = [name for name, row in found["faults"].items() if not row["told"]]
    left = [name for name, n in found["after"].items() if n > found["before"][name]]
    return int(bool(left or untold))


if __name__ == "__main__":
    run_command(main)
