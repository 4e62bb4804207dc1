"""A program whose lines are bounded: python bounded.py BYTES COMMAND [ARGUMENT ...]

An MCP server answers in lines, each of which its client reads and parses whole, while every
other thread of its process waits. So this stands between them, in a process of its own. A
line of more bytes than that is not passed on; if it answers a request, an error does in its
place, as JSON-RPC has it. Input and errors go to the program directly. Both run when
nobody else wants to: conversations go first.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable

CHUNK = 1 << 16
EDGE = 1_000  # bytes at either end of a line, where its id may stand
NUMBER = rb'"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)'
FIRST = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?' + NUMBER)
LAST = re.compile(NUMBER + rb'\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$')
FAULT = -32_603  # JSON-RPC's internal error
WHY = "the answer is too long; ask for less"  # read aloud, at times: short, no figures


def refused(head: bytes, tail: bytes) -> bytes:
    """What stands for a line that is too long, of which these are the ends."""
    found = FIRST.match(head) or LAST.search(tail)
    if not found:
        return b""  # it answers nobody
    error = {"code": FAULT, "message": WHY}
    told = {"jsonrpc": "2.0", "id": json.loads(found[1]), "error": error}
    return json.dumps(told).encode() + b"\n"


class Lines:
    """pass_on: takes what the client may read, in order."""

    def __init__(self, most: int, pass_on: Callable[[bytes], object]) -> None:
        self._most, self._pass_on = most, pass_on
        self._line = bytearray()  # the beginning of one; of a long one its two ends
        self._size = 0

    def push(self, data: bytes) -> None:
        *ends, rest = data.split(b"\n")
        for part in ends:
            self._add(part)
            self._end()
        self._add(rest)

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        self._line += part
        if self._size > self._most:
            del self._line[EDGE : max(len(self._line) - EDGE, EDGE)]

    def _end(self) -> None:
        if self._size > self._most:
            head, tail = bytes(self._line[:EDGE]), bytes(self._line[-EDGE:])
            self._pass_on(refused(head, tail))
        else:
            self._pass_on(bytes(self._line) + b"\n")
        self._line.clear()
        self._size = 0


def write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def give_way() -> None:
    os.nice(19)
    if os.getsid(0) == os.getpid():  # Linux shares by session first, then by niceness
        with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as file:
            file.write("19")


def main() -> int:
    most, *command = sys.argv[1:]
    give_way()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        os.close(0)  # its own alone
        assert process.stdout is not None
        lines, source = Lines(int(most), write), process.stdout.fileno()
        try:
            while data := os.read(source, CHUNK):
                lines.push(data)
        except BrokenPipeError:  # nobody reads any more
            process.terminate()
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
