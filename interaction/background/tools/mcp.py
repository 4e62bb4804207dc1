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
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable
from pathlib import Path
from typing import Any

from mcp import types

from interaction.background.protocol import ToolSpec
from interaction.background.toolbox import Result
from interaction.background.tools.mcp_config import Command, Server, read_servers
from interaction.background.tools.mcp_connection import START_S, Connection
from interaction.errors import InputError

NAME = 64  # characters of a tool's name, as models are told it


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
        found = [
            (c, tool)
            for c, tools in zip(connections, listed, strict=True)
            for tool in tools
        ]
        names = distinct([(c.server.name, tool.name) for c, tool in found], taken)
        yield [McpTool(c, tool, name) for (c, tool), name in zip(found, names, strict=True)]
    finally:
        await asyncio.gather(*(connection.close() for connection in connections))


async def _listed(path: Path, connection: Connection) -> list[types.Tool]:
    server = connection.server
    try:
        tools = await asyncio.wait_for(connection.tools(), 2 * START_S)
    except Exception as error:
        field = "command" if isinstance(server.at, Command) else "url"
        why = connection.told(error) or "it does not tell its tools"
        why = f"{path}: server {server.name}: {field}: {why}"
        raise InputError(f"{why}; mend it, or set disabled to true") from None
    if isinstance(server.confirm, frozenset):
        for name in sorted(server.confirm - {tool.name for tool in tools}):
            known = ", ".join(tool.name for tool in tools)
            why = f"confirm: it has no tool {name}; it has: {known}"
            raise InputError(f"{path}: server {server.name}: {why}")
    return tools
