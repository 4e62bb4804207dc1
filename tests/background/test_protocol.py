"""The protocol of the background: documented by examples, kept by all sides."""

from __future__ import annotations

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import get_args

import jsonschema
import msgspec

from interaction.background import protocol
from interaction.background.protocol import ToolSpec
from interaction.background.toolbox import Toolbox
from interaction.serve import messages

UPDATES = {each.__struct_config__.tag for each in get_args(protocol.Update)}


def examples() -> list[dict]:
    """Those that the protocol is documented by."""
    found, decoder = [], json.JSONDecoder()
    text = protocol.__doc__
    while (at := text.find("    {")) >= 0:
        example, end = decoder.raw_decode(text[at:].lstrip())
        found.append(example)
        text = text[at:].lstrip()[end:]
    return found


def test_every_message_is_documented_by_one():
    schema, kinds = protocol.schema(), set()
    for example in examples():
        kind = example.get("type")
        if kind in UPDATES:
            example = {"task": "task_1", "update": example}
        jsonschema.validate(example, schema)
        kinds.add(kind or example.get("update", {}).get("type", "context"))
    assert kinds == {*UPDATES, "context", "cancel", "ask", "answer"}


def test_what_clients_are_asked_is_the_protocols():
    for message in (
        messages.Ask(0, "buy", "buys", "", 30.0), messages.Answer(0, True),
        protocol.Cancel(),
    ):  # fmt: skip
        jsonschema.validate(json.loads(msgspec.json.encode(message)), protocol.schema())


def test_a_schema_cannot_have_anything_fetched():
    """A tool of a stranger's that points to an address which somebody listens at."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_):
            pass

    class Stranger:
        async def call(self, arguments):
            raise AssertionError

        async def close(self):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tool = Stranger()
        url = f"http://127.0.0.1:{server.server_port}/schema.json"
        tool.spec = ToolSpec("far", "", {"$ref": url})

        async def main():
            return [update async for update in Toolbox([tool]).run("c", "far", {})]

        last = asyncio.run(main())[-1]
        server.shutdown()
    assert not asked and not last.ok and "points elsewhere" in last.text
