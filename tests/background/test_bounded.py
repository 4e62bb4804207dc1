"""Lines of a program, up to a length; what is longer is answered in its place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interaction.background.tools import bounded
from interaction.background.tools.bounded import Lines

MOST = 4_000


def passed(data: bytes, cuts: list[int]) -> list[bytes]:
    """What goes on of data that comes in pieces."""
    out: list[bytes] = []
    lines, at = Lines(MOST, out.append), 0
    for cut in [*sorted(cuts), len(data)]:
        lines.push(data[at:cut])
        at = max(at, cut)
    return b"".join(out).splitlines(keepends=True)


@given(
    st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b""))),
    st.lists(st.integers(0, 400)),
)
def test_short_lines_go_on_as_they_are(lines, cuts):
    data = b"".join(line + b"\n" for line in lines)
    assert b"".join(passed(data, cuts)) == data


@given(
    st.one_of(st.integers(), st.text(max_size=20)), st.booleans(),
    st.integers(MOST, 4 * MOST), st.lists(st.integers(0, 5 * MOST)),
)  # fmt: skip
def test_a_long_answer_is_an_error_of_the_same_request(number, first, size, cuts):
    """Wherever its id stands; ids that are in it are not its own."""
    result = {"result": {"id": 77, "text": "x" * size, "more": {"id": 78}}}
    ours = {"jsonrpc": "2.0", "id": number}
    long = json.dumps(ours | result if first else result | ours).encode()
    before, answer, after = passed(b'{"id": 1}\n' + long + b'\n{"id": 2}\n', cuts)
    assert (before, after) == (b'{"id": 1}\n', b'{"id": 2}\n')
    told = json.loads(answer)
    assert told["id"] == number and told["error"]["message"] == bounded.WHY


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc": "2.0", "method": "notify", "params": {"id": 3, "x": "%s"}}',
        b'{"jsonrpc": "2.0", "method": "notify", "params": {"x": "%s", "id": 3}}',
        b"%s",
    ],
)
def test_what_answers_nobody_is_dropped(line):
    assert passed(line.replace(b"%s", b"x" * (MOST + 1)) + b"\n", []) == []


def test_a_line_of_the_length_goes_on():
    assert passed(b"x" * MOST + b"\n", [7]) == [b"x" * MOST + b"\n"]


def test_a_program_is_its_own_else():
    """Its input, its last words and its status; and no line is held back."""
    program = "import sys; print(input().upper(), flush=True); print(input()); sys.exit(3)"
    command = [sys.executable, bounded.__file__, "100", sys.executable, "-c", program]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        process.stdin.write("hello\n")
        process.stdin.flush()
        assert process.stdout.readline() == "HELLO\n"
        process.stdin.write("x" * 200 + "\n")
        process.stdin.close()
        assert process.stdout.read() == "" and process.wait() == 3


def test_others_go_first():
    """Within its session and, where Linux shares by them, among sessions; what it starts
    too."""
    groups = Path("/proc/self/autogroup")
    program = "import os, pathlib, sys; print(os.nice(0))\n"
    program += "if sys.argv[1:]: print(pathlib.Path(sys.argv[1]).read_text().split()[-1])"
    command = [sys.executable, bounded.__file__, "100", sys.executable, "-c", program]
    command += [str(groups)] if groups.exists() else []
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert done.stdout.split() == (["19", "19"] if groups.exists() else ["19"])
