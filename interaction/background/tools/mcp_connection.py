"""A connection to an MCP server that comes back when the server died."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import sys
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2
from mcp import Client, MCPError, StdioServerParameters, stdio_client, types
from mcp.client.streamable_http import streamable_http_client

from interaction.background.tools import bounded
from interaction.background.tools.mcp_config import Address, Command, Server
from interaction.errors import InputError

START_S = 60.0  # that a server may take to start: it goes last on a busy machine
LONGEST = 1 << 20  # bytes of a message over stdio: reading it holds up this process
LARGEST = 64 << 20  # bytes of an answer over HTTP; more is an error and not kept
PAGES = 100  # of a list of tools


class Connection:
    """A server, owned by one task: the SDK wants its contexts left where they were entered.
    When it dies all that it held is given back; the next call starts it again."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._owner: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[Client]
        self._scope = anyio.CancelScope()
        self._over = asyncio.Event()  # it is silent for good
        self._closed = False

    async def client(self) -> Client:
        """Of a server that lives, started where it did not. Raises ConnectionError."""
        if not self._lives():
            await self._end()
        if self._closed:
            raise ConnectionError(f"{self.server.name} was closed")
        if not self._lives():  # another call may have been faster
            self._ready = asyncio.get_running_loop().create_future()
            self._scope, self._over = anyio.CancelScope(), asyncio.Event()
            self._owner = asyncio.create_task(self._own())
        await asyncio.wait([self._ready])
        try:
            return self._ready.result()
        except Exception as error:
            why = self.told(error)
            raise ConnectionError(f"{self.server.name} does not start: {why}") from None

    def _lives(self) -> bool:
        gone = self._owner is None or self._owner.done()
        return not (gone or self._over.is_set() or self._scope.cancel_called)

    async def _own(self) -> None:
        """Start the server, wait for its end, clean up."""
        ready, scope, over = self._ready, self._scope, self._over
        ready.add_done_callback(lambda done: done.exception())  # whoever waits may be gone
        scope.deadline = anyio.current_time() + START_S
        why: Exception = TimeoutError(f"not up within {START_S:g} s")
        try:
            with scope:
                async with contextlib.AsyncExitStack() as stack:
                    transport = _watched(await _transport(self.server.at, stack), over)
                    client = await stack.enter_async_context(Client(transport, cache=None))
                    scope.deadline = float("inf")
                    ready.set_result(client)
                    await over.wait()
        except Exception as error:
            why = error
        finally:
            if not ready.done():
                ready.set_exception(why)

    async def call(self, name: str, arguments: dict[str, Any]) -> types.CallToolResult:
        """Raises InputError for what is refused, ConnectionError for a lost server."""
        client = await self._answering()
        over = self._over
        try:
            return await client.call_tool(name, arguments)
        except Exception as error:
            why = self.told(error)
            if not _lost(error):
                raise InputError(why) from None
            if isinstance(self.server.at, Address):  # no stream's end tells of its death
                over.set()
            raise ConnectionError(f"{self.server.name} did not answer: {why}") from None

    async def _answering(self) -> Client:
        """Of a server that answers now. News of a death may be late, and a call that meets
        it may have been carried out, so that nobody may repeat it: a question may be lost.
        (A ping would do, and the protocol has none since 2026-07-28.)"""
        client, over = await self.client(), self._over
        try:
            await client.list_tools()
        except Exception as error:
            if _lost(error):
                over.set()
                client = await self.client()
        return client

    async def tools(self) -> list[types.Tool]:
        client = await self.client()
        found: list[types.Tool] = []
        cursor = None
        for _ in range(PAGES):
            page = await client.list_tools(cursor=cursor)
            found += page.tools
            cursor = page.next_cursor
            if not cursor:
                break
        return found

    async def close(self) -> None:
        """For good."""
        self._closed = True
        await self._end()

    async def _end(self) -> None:
        self._scope.cancel()
        if self._owner:
            await asyncio.wait([self._owner])

    def told(self, error: BaseException) -> str:
        """In words, without its address."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        why = str(error) or type(error).__name__
        if isinstance(self.server.at, Address):
            why = why.replace(self.server.at.url, "its address")
        return why


def _lost(error: Exception) -> bool:
    """Whether the server is gone, and has not merely refused."""
    return not isinstance(error, MCPError) or error.code == types.CONNECTION_CLOSED


async def _transport(at: Command | Address, stack: contextlib.AsyncExitStack) -> Any:
    if isinstance(at, Command):
        _found(at)
        args = [bounded.__file__, str(LONGEST), at.command, *at.args]
        given = StdioServerParameters(
            command=sys.executable, args=args, env=at.env, cwd=at.cwd
        )
        return stdio_client(given, errlog=sys.__stderr__ or sys.stderr)
    timeout = httpx2.Timeout(30.0, read=None)  # who calls has a limit
    http = httpx2.AsyncClient(headers=at.headers, timeout=timeout)
    await stack.enter_async_context(http)
    return streamable_http_client(at.url, http_client=http, max_sse_event_size=LARGEST)


def _found(at: Command) -> None:
    """Raises FileNotFoundError where there is no such program."""
    name, path = at.command, (at.env or {}).get("PATH")
    if os.sep in name:
        name = os.path.join(at.cwd or "", name)
    if shutil.which(name, path=path) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


class _Watched:
    """What a server says, and when it is silent for good: the SDK tells only callers."""

    def __init__(self, stream: Any, over: asyncio.Event) -> None:
        self._stream, self._over = stream, over

    async def receive(self) -> Any:
        try:
            return await self._stream.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            self._over.set()
            raise

    async def __anext__(self) -> Any:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    def __aiter__(self) -> _Watched:
        return self

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> _Watched:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def last_context(self) -> Any:
        return getattr(self._stream, "last_context", None)


@contextlib.asynccontextmanager
async def _watched(transport: Any, over: asyncio.Event) -> AsyncIterator[Any]:
    async with transport as (read, write):
        yield _Watched(read, over), write
