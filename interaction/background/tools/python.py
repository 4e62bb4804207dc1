"""Python programs, in a process that can do no harm.

Where the kernel grants namespaces (Linux 5.12 or later; containers often forbid them) the
program is walled in: no network, no files but Python's and the system's own, to be read
only, and what it writes is gone with it. Nobody is asked then. System calls are not
filtered: a bug of the kernel may let it out.

Where not, what holds is: an empty environment, isolated mode, a directory of its own, a
process group that is killed, and limits on CPU time, memory, size of files, open files and
(not for root) processes. It can read and write what the server's user can, reach the
network and leave its group: the user is asked before each run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from interaction.background.protocol import ToolSpec
from interaction.background.toolbox import Result
from interaction.background.tools.processes import end
from interaction.errors import InputError

JAIL = Path(__file__).parent / "jail.py"
CODE = 20_000  # characters of a program
HEAD, TAIL = 1_500, 2_000  # bytes of the output that are kept; errors come at its end
GRACE_S = 1.0  # for the rest of the output of what was killed


@dataclass(frozen=True)
class Limits:
    """Of each process, but for wall_s and processes, and disk_bytes behind walls: those are
    of a run."""

    wall_s: float = 10.0
    cpu_s: int = 10
    memory_bytes: int = 512 << 20
    disk_bytes: int = 64 << 20
    files: int = 64
    processes: int = 16


LIMITS = Limits()


class Python:
    """walled: None finds out whether the kernel grants walls, which takes 0.1 s."""

    def __init__(self, limits: Limits = LIMITS, walled: bool | None = None) -> None:
        self._limits = limits
        self.walled = grants(limits) if walled is None else walled
        self.spec = ToolSpec(
            "python",
            "Runs a Python program that uses the standard library alone, without network "
            f"or files, for at most {limits.wall_s:g} s. Gives what it prints; print the "
            "answer.",
            {
                "type": "object",
                "properties": {
                    "code": {"type": "string", "minLength": 1, "maxLength": CODE}
                },
                "required": ["code"],
                "additionalProperties": False,
            },
            confirm=not self.walled,
        )

    async def call(self, arguments: dict[str, Any]) -> Result:
        code: str = arguments["code"]
        if "\0" in code or any("\ud800" <= letter <= "\udfff" for letter in code):
            raise InputError("code: holds a NUL or half a surrogate pair; leave it out")
        kept = Kept()
        with tempfile.TemporaryDirectory(
            prefix="interaction-", ignore_cleanup_errors=True
        ) as directory:
            why = await self._run(code, directory, kept)
        return Result("\n".join(filter(None, [kept.text(), why])) or "(it printed nothing)")

    async def _run(self, code: str, directory: str, kept: Kept) -> str:
        """-> how it ended, where that is worth saying."""
        async with self._started(code, directory) as (process, output):
            reading = asyncio.create_task(kept.read(output))
            try:
                async with asyncio.timeout(self._limits.wall_s):
                    status = await process.wait()
                why = f"(exit code {status})" if status else ""
            except TimeoutError:
                why = f"(stopped after {self._limits.wall_s:g} s)"
            finally:
                await asyncio.shield(end(process))
                # What left its group, where there are no walls, may hold the output open.
                await asyncio.wait([reading], timeout=GRACE_S)
                reading.cancel()
        return why

    @contextlib.asynccontextmanager
    async def _started(
        self, code: str, directory: str
    ) -> AsyncIterator[tuple[asyncio.subprocess.Process, asyncio.StreamReader]]:
        output = asyncio.StreamReader()
        with contextlib.ExitStack() as stack:  # it may be cancelled anywhere
            ours, theirs = (
                stack.enter_context(os.fdopen(fd, mode, 0))
                for fd, mode in zip(os.pipe(), ("rb", "wb"), strict=True)
            )
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(output), ours
            )
            stack.callback(transport.close)
            given = stack.enter_context(tempfile.TemporaryFile())
            given.write(code.encode())
            given.seek(0)
            process = await asyncio.create_subprocess_exec(
                *command(self.walled, self._limits),
                stdin=given,
                stdout=theirs,
                stderr=theirs,
                cwd=directory,
                env={},
                start_new_session=True,
            )
            theirs.close()
            yield process, output

    async def close(self) -> None:
        """Nothing outlives a call."""


class Kept:
    """The two ends of an output, however long it is."""

    def __init__(self) -> None:
        self._head, self._tail, self._all = bytearray(), bytearray(), 0

    async def read(self, output: asyncio.StreamReader) -> None:
        while piece := await output.read(1 << 16):
            self._all += len(piece)
            room = HEAD - len(self._head)
            self._head += piece[:room]
            self._tail = (self._tail + piece[room:])[-TAIL:]

    def text(self) -> str:
        left_out = self._all - len(self._head) - len(self._tail)
        middle = f"\n… ({left_out} bytes left out)\n".encode() if left_out else b""
        return bytes(self._head + middle + self._tail).decode(errors="replace").rstrip()


def command(walled: bool, limits: Limits) -> list[str]:
    """Isolated from the start: no site, no environment, nothing of its directory."""
    how = "walled" if walled else "bare"
    python = os.path.realpath(sys.executable)
    return [python, "-I", "-S", str(JAIL), how, json.dumps(asdict(limits))]


def grants(limits: Limits) -> bool:
    """Whether the kernel grants walls: a program that does nothing is tried."""
    with tempfile.TemporaryDirectory(prefix="interaction-") as directory:
        tried = subprocess.run(
            command(True, limits),
            input=b"",
            cwd=directory,
            env={},
            capture_output=True,
            timeout=30,
        )
    return tried.returncode == 0
