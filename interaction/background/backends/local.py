"""A text model of ours, in a process of its own that gives way to everything else.

    --background=local:models/inkling_small       on the same devices
    --background=local:models/inkling_small@4,5   on accelerators 4 and 5 alone

It runs at the lowest priority, and writes for one task at a time; others wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sys
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

from interaction.background.backends import Lost
from interaction.background.backends.chat import Chat, Limits, Refused
from interaction.package import locate

WORKER = "interaction.background.backends.local_worker"
DEVICES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "TPU_VISIBLE_CHIPS")
TOKENS = 1_024  # of one reply
LINE = 1 << 20  # bytes of a line, at most


class LocalBackend(Chat):
    """devices: numbers with commas; None for all. Raises InputError where there is no such
    checkpoint. The process begins with the first task."""

    def __init__(
        self,
        checkpoint: str,
        devices: str | None = None,
        limits: Limits = Limits(),  # noqa: B008  # it never changes
        tokens: int = TOKENS,
    ) -> None:
        super().__init__(limits)
        self._path, self._devices, self._tokens = locate(checkpoint), devices, tokens
        self._process: asyncio.subprocess.Process | None = None
        self._turn, self._numbers = asyncio.Lock(), itertools.count(1)

    async def close(self) -> None:
        process, self._process = self._process, None
        if process and process.returncode is None:
            process.kill()
            await process.wait()

    async def choices(
        self, told: list, offered: dict[str, Any]
    ) -> AsyncGenerator[SimpleNamespace, None]:
        async with self._turn:
            process = await self._started()
            number = next(self._numbers)
            asked = {"id": number, "messages": told, "max_tokens": self._tokens} | offered
            try:
                await _write(process, asked)
                async for line in _lines(process, number):
                    if "failed" in line:
                        raise Refused(
                            "the background model cannot read this", line["failed"]
                        )
                    yield SimpleNamespace(
                        delta=_delta(line.get("delta", {})),
                        finish_reason=line.get("finish"),
                    )
                    if "finish" in line:
                        number = 0
                        return
            except Lost:  # the next task begins it again, however late its end is noticed
                await self.close()
                raise
            finally:
                if number and process.returncode is None and process.stdin:
                    with contextlib.suppress(OSError):
                        process.stdin.write(json.dumps({"cancel": number}).encode() + b"\n")

    async def _started(self) -> asyncio.subprocess.Process:
        """Raises Lost where it cannot begin; the next task tries again."""
        if self._process and self._process.returncode is None:
            return self._process
        env = dict(os.environ) | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        if self._devices is not None:
            env |= dict.fromkeys(DEVICES, self._devices)
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", WORKER, str(self._path), env=env, limit=LINE,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            await anext(_lines(process, None))
        except BaseException:
            await self.close()
            raise
        return process


async def _write(process: asyncio.subprocess.Process, asked: dict[str, Any]) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        await process.stdin.drain()
    except OSError:
        raise Lost("its process ended") from None


async def _lines(
    process: asyncio.subprocess.Process, number: int | None
) -> AsyncGenerator[dict[str, Any], None]:
    """What it says to one task; None: before any. Leftovers of others are passed over."""
    assert process.stdout is not None
    while True:
        try:
            line = await process.stdout.readline()
        except ValueError:
            raise Lost("its process wrote a line without end") from None
        if not line:
            raise Lost("its process ended")
        said = json.loads(line)
        if said.get("id") == number:
            yield said


def _delta(given: dict[str, Any]) -> SimpleNamespace:
    """As the SDK for endpoints has it."""
    calls = [
        SimpleNamespace(
            index=call["index"], id=call["id"], function=SimpleNamespace(**call["function"])
        )
        for call in given.get("tool_calls", ())
    ]
    return SimpleNamespace(
        content=given.get("content"), reasoning=given.get("reasoning"), tool_calls=calls
    )
