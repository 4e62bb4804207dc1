"""The end of a process that a tool has started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal


async def end(process: asyncio.subprocess.Process) -> None:
    """Its whole group; behind walls, all it ever started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
