"""The tools of a server: those that are built in, and those of MCP servers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from interaction.background.toolbox import Tool
from interaction.background.tools.builtin import builtin
from interaction.background.tools.mcp import open_servers


@contextlib.asynccontextmanager
async def open_tools(
    servers: Path | None, folder: Path | None
) -> AsyncIterator[list[Tool]]:
    """servers: a file of MCP servers, which run until the end; folder: to search. Raises
    InputError."""
    tools: list[Tool] = builtin(folder, lambda: datetime.now(UTC))
    async with contextlib.AsyncExitStack() as stack:
        for tool in tools:
            stack.push_async_callback(tool.close)
        if servers:
            taken = [tool.spec.name for tool in tools]
            tools += await stack.enter_async_context(open_servers(servers, taken))
        yield tools
