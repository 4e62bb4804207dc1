"""An MCP server that misbehaves when it is told to: over stdio, or HTTP with a port."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

server = MCPServer("odd", log_level="ERROR")
READS = ToolAnnotations(read_only_hint=True)


@server.tool(annotations=READS)
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool(annotations=READS, structured_output=False)
def pid() -> str:
    """The server's process."""
    return str(os.getpid())


@server.tool(annotations=READS, structured_output=False)
async def big(megabytes: int, ctx: Context) -> str:
    """A long text. What is told before it makes the answer over HTTP a stream."""
    here = ctx.request_id
    await ctx.session.send_progress_notification("big", 0.5, related_request_id=here)
    return "x" * (megabytes << 20)


@server.tool(annotations=READS, structured_output=False)
def repeat(text: str) -> str:
    """What it is given."""
    return text


@server.tool(annotations=READS)
def broken() -> str:
    """Fails."""
    raise ToolError("the shop is shut")


@server.tool(annotations=READS)
async def hang(seconds: float) -> str:
    """Takes its time."""
    await asyncio.sleep(seconds)
    return "at last"


@server.tool(annotations=READS, structured_output=False)
def die() -> str:
    """Ends the server."""
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


@server.tool(annotations=READS, structured_output=False)
def picture() -> list:
    """A picture and words."""
    return ["a red dot", Image(data=b"\x89PNG", format="png")]


@server.tool(annotations=READS)
def table() -> dict[str, int]:
    """Numbers by name."""
    return {"one": 1, "two": 2}


@server.tool()
def buy(what: str) -> str:
    """Nothing is said of what this does."""
    return f"bought {what}"


@server.tool(annotations=ToolAnnotations(read_only_hint=True, destructive_hint=True))
def both() -> str:
    """Contradicts itself."""
    return ""


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run()
