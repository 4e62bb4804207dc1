"""Servers that go wrong, for `drill`: programs of their own, of the standard library alone.

python drill_servers.py tools    an MCP server over stdio; what a tool does is its name
python drill_servers.py mind     a chat-completions endpoint that breaks off in the middle
                                 of a reply; it prints its port
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOOLS = ("die", "hang", "huge", "malformed")
HUGE = 10_000_000  # characters
PIECE = {
    "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
    "choices": [{"index": 0, "delta": {"content": "well "}, "finish_reason": None}],
}  # fmt: skip


def answer(asked: dict[str, Any]) -> dict[str, Any] | None:
    """Of a request; None for silence."""
    match asked["method"]:
        case "initialize":
            return {
                "protocolVersion": asked["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "faulty", "version": "1"},
            }
        case "tools/list":
            form = {
                "inputSchema": {"type": "object"},
                "annotations": {"readOnlyHint": True},
            }
            return {"tools": [{"name": name} | form for name in TOOLS]}
        case "tools/call":
            return called(asked["params"]["name"])
    raise LookupError(asked["method"])


def called(name: str) -> dict[str, Any] | None:
    if name == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "malformed":
        print("}{ no JSON", flush=True)
        return {"content": 7}
    if name == "huge":
        return {"content": [{"type": "text", "text": "x" * HUGE}]}
    return None


def tools() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" not in asked or "method" not in asked:
            continue
        reply = {"jsonrpc": "2.0", "id": asked["id"]}
        try:
            result = answer(asked)
        except LookupError as error:
            reply["error"] = {"code": -32601, "message": f"no {error}"}
        else:
            if result is None:
                continue
            reply["result"] = result
        print(json.dumps(reply), flush=True)


class BreaksOff(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        data = f"data: {json.dumps(PIECE)}\n\n".encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\nff\r\n")
        self.close_connection = True  # in the middle of a chunk

    def log_message(self, *_: Any) -> None:
        """It says nothing."""


def mind() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BreaksOff) as server:
        print(server.server_port, flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()  # until whoever began it is gone, however that ended
        os._exit(0)


if __name__ == "__main__":
    {"tools": tools, "mind": mind}[sys.argv[1]]()
