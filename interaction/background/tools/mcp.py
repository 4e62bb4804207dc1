"""Tools of MCP servers, over stdio and streamable HTTP, by the official SDK.

    async with open_servers(Path("mcp.json")) as tools:
        toolbox = Toolbox(tools)

A tool has its own name, after its server's where two have the same. `mcp_config` has the
file's form, and which tools the user is asked about.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client, MCPError, StdioServerParameters, stdio_client, types
from mcp.client.streamable_http import streamable_http_client

from interaction.background.protocol import ToolSpec
from interaction.background.toolbox import Result
from interaction.background.tools.mcp_config import Address, Command, Server, read_servers
from interaction.errors import InputError

START_S = 20.0  # that a server may take to start, with its list of tools
LARGEST = 64 << 20  # bytes of an answer over HTTP; more is an error and not kept
PAGES = 100  # of a list of tools
NAME = 64  # characters of a tool's name, as models are told it


class Connection:
    """A server, owned by one task: the SDK wants its contexts left where they were entered.
    When it dies all that it held is given back; the next call starts it again."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._owner: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[Client]
        self._scope = anyio.CancelScope()
        self._over = asyncio.Event()  # it is silent for good

    async def client(self) -> Client:
        """Of a server that lives, started where it did not. Raises ConnectionError."""
        if not self._lives():
            await self.close()
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
        client = await self.client()
        over = self._over
        try:
            return await client.call_tool(name, arguments)
        except Exception as error:
            if isinstance(self.server.at, Address) and _lost(error):
                over.set()
            why = self.told(error)
            raise ConnectionError(f"{self.server.name} did not answer: {why}") from None

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
    """Whether an address is to be opened anew; no stream's end tells of it."""
    return not isinstance(error, MCPError) or error.code == types.CONNECTION_CLOSED


async def _transport(at: Command | Address, stack: contextlib.AsyncExitStack) -> Any:
    if isinstance(at, Command):
        given = StdioServerParameters(
            command=at.command, args=list(at.args), env=at.env, cwd=at.cwd
        )
        return stdio_client(given, errlog=sys.__stderr__ or sys.stderr)
    timeout = httpx2.Timeout(30.0, read=None)  # who calls has a limit
    http = httpx2.AsyncClient(headers=at.headers, timeout=timeout)
    await stack.enter_async_context(http)
    return streamable_http_client(at.url, http_client=http, max_sse_event_size=LARGEST)


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


class McpTool:
    """A tool of a server. Its connection is `open_servers`' to close."""

    def __init__(self, connection: Connection, tool: types.Tool, name: str) -> None:
        self._connection, self._name = connection, tool.name
        self.spec = ToolSpec(
            name,
            tool.description or tool.title or tool.name,
            tool.input_schema,
            asks(connection.server, tool),
        )

    async def call(self, arguments: dict[str, Any]) -> Result:
        result = await self._connection.call(self._name, arguments)
        if result.is_error:
            raise InputError(told(result) or "it failed, and does not say why")
        return Result(told(result))

    async def close(self) -> None:
        """Other tools share what it uses."""


def asks(server: Server, tool: types.Tool) -> bool:
    """Whether the user is asked first."""
    if isinstance(server.confirm, bool):
        return server.confirm
    if server.confirm is not None:
        return tool.name in server.confirm
    hints = tool.annotations
    return not (hints and hints.read_only_hint) or bool(hints.destructive_hint)


def told(result: types.CallToolResult) -> str:
    """A result as text. What its structure says and its text does not comes as JSON."""
    parts = [_part(block) for block in result.content]
    structure = result.structured_content
    if structure is not None and not _says(parts, structure):
        parts.append(json.dumps(structure, ensure_ascii=False))
    return "\n".join(parts)


def _part(block: types.ContentBlock) -> str:
    match block:
        case types.TextContent():
            return block.text
        case types.EmbeddedResource(resource=types.TextResourceContents() as resource):
            return resource.text
        case types.EmbeddedResource(resource=resource):
            return f"(a file that is not shown: {resource.mime_type} at {resource.uri})"
        case types.ResourceLink():
            return f"(a link: {block.title or block.name}, {block.uri})"
    return f"(an {block.type} that is not shown: {block.mime_type})"


def _says(parts: list[str], structure: Any) -> bool:
    """Whether the text is the structure, as the protocol advises and SDKs do it."""
    values: list[Any] = []
    for part in parts:
        try:
            values.append(json.loads(part))
        except ValueError:
            values.append(part)
    either = [*values, *parts, values, parts]
    return any(structure in (value, {"result": value}) for value in either)


def distinct(tools: Iterable[tuple[str, str]], taken: Collection[str] = ()) -> list[str]:
    """A name for each (server, tool): such as models may be told, and no two alike."""
    pairs = [(_plain(server), _plain(tool)) for server, tool in tools]
    count = Counter([*(tool for _, tool in pairs), *taken])
    used = set(taken)
    names = []
    for server, tool in pairs:
        name = tool if count[tool] == 1 else f"{server}_{tool}"
        tries = (f"{name[: NAME - len(end)]}{end}" for end in _ends())
        names.append(next(each for each in tries if each not in used))
        used.add(names[-1])
    return names


def _ends() -> Iterable[str]:
    return itertools.chain([""], (f"_{n}" for n in itertools.count(2)))


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


@contextlib.asynccontextmanager
async def open_servers(
    path: Path, taken: Collection[str] = ()
) -> AsyncIterator[list[McpTool]]:
    """The tools of a file's servers, which run until the end. taken: names of other tools.
    Raises InputError."""
    connections = [Connection(server) for server in read_servers(path)]
    try:
        listed = await asyncio.gather(*(_listed(path, c) for c in connections))
        found = [(c, tool) for c, tools in zip(connections, listed) for tool in tools]
        names = distinct([(c.server.name, tool.name) for c, tool in found], taken)
        yield [McpTool(c, tool, name) for (c, tool), name in zip(found, names)]
    finally:
        await asyncio.gather(*(connection.close() for connection in connections))


async def _listed(path: Path, connection: Connection) -> list[types.Tool]:
    server = connection.server
    try:
        tools = await connection.tools()
    except Exception as error:
        field = "command" if isinstance(server.at, Command) else "url"
        why = f"{path}: server {server.name}: {field}: {connection.told(error)}"
        raise InputError(f"{why}; mend it, or set disabled to true") from None
    if isinstance(server.confirm, frozenset):
        for name in sorted(server.confirm - {tool.name for tool in tools}):
            known = ", ".join(tool.name for tool in tools)
            raise InputError(
                f"{path}: server {server.name}: confirm: it has no tool {name}; it has: {known}"
            )
    return tools
