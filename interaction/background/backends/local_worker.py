"""A text model in a process of its own: tasks come as lines, replies go as lines.

    {"id": 1, "messages": [...], "tools": [...], "max_tokens": 512}   or   {"cancel": 1}
    {"ready": true}   {"id": 1, "delta": {...}}   {"id": 1, "finish": "stop"}
    {"id": 1, "failed": "why"}

finish: "stop" where the model ended by itself, "length" where it was cut.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from interaction import chat, decode
from interaction.background.backends.marked import Marked
from interaction.errors import InputError, run_command
from interaction.generate import open_for_text, source_of
from interaction.package import SOURCE, Package

NICE = 19  # whatever runs beside it goes first


class Inbox:
    """Reads tasks while the model writes."""

    def __init__(self) -> None:
        self.tasks: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.cancelled: set[int] = set()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            asked = json.loads(line)
            if "cancel" in asked:
                self.cancelled.add(asked["cancel"])
            else:
                self.tasks.put(asked)
        self.tasks.put(None)  # whoever asked is gone


def prompt(package: Package, asked: dict[str, Any]) -> list[int]:
    """Tokens; no mark but the chat template's. Raises InputError where that refuses the
    messages."""
    assert package.text is not None
    places = (package.path, package.path / SOURCE)
    template = chat.find_template(*places)
    if template is None:
        told = "\n\n".join(str(m.get("content") or "") for m in asked["messages"])
        return package.text.encode(told + "\n\n")
    values = chat.special_tokens(*places) | {"tools": asked.get("tools")}
    return chat.encode(package.text, template, asked["messages"], **values)


def reply(package: Package, asked: dict[str, Any], inbox: Inbox) -> Iterator[dict]:
    """Deltas, then how it ended. Nothing more of a task that is cancelled."""
    assert package.text is not None
    stop, marked = source_of(package.path).stop, Marked(package.text)
    ids = np.array(prompt(package, asked))
    given, n = decode.make_prompt(package.cfg, ids), asked["max_tokens"]
    finish = "length"
    for chosen in decode.continuation(package.params, package.cfg, given, n):
        if asked["id"] in inbox.cancelled:
            return
        if int(chosen[0]) in stop:
            finish = "stop"
            break
        for delta in marked.take(int(chosen[0])):
            yield {"delta": delta}
    for delta in marked.end():
        yield {"delta": delta}
    yield {"finish": finish}


def main() -> int:
    os.nice(NICE)
    if len(sys.argv) != 2:
        raise InputError("give a checkpoint's directory, and tasks as lines of input")
    package = open_for_text(sys.argv[1])
    if package.text is None:
        raise InputError(f"{package.path} has no tokenizer.json; put one there")
    inbox = Inbox()

    def tell(line: dict[str, Any]) -> None:
        print(json.dumps(line), flush=True)

    tell({"ready": True})
    while (asked := inbox.tasks.get()) is not None:
        try:
            for line in reply(package, asked, inbox):
                tell({"id": asked["id"]} | line)
        except InputError as error:
            tell({"id": asked["id"], "failed": str(error)})
    return 0


if __name__ == "__main__":
    run_command(main)
