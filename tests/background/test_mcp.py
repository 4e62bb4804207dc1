"""Real MCP servers in processes of their own: one that others wrote, and one that
misbehaves when it is told to."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import types

from interaction.background.protocol import ToolFinished, ToolStarted
from interaction.background.toolbox import MOST, Toolbox
from interaction.background.tools import mcp_connection
from interaction.background.tools.mcp import NAME, distinct, open_servers, told
from interaction.errors import InputError
from tests.background.conftest import until_it_answers

ODD = str(Path(__file__).with_name("mcp_server.py"))
STDIO = {"command": sys.executable, "args": [ODD]}
TIME = {"command": sys.executable, "args": ["-m", "mcp_server_time"]}


async def agree(*_) -> bool:
    return True


async def call(box: Toolbox, name: str, confirm=agree, **arguments) -> ToolFinished:
    started, *others, finished = [u async for u in box.run("1", name, arguments, confirm)]
    assert started == ToolStarted("1", name, arguments) and not others
    assert isinstance(finished, ToolFinished)
    return finished


def held() -> tuple[int, int]:
    me = psutil.Process()
    return len(me.children(recursive=True)), me.num_fds()


@pytest.fixture
def opened(tmp_path):
    """Servers from a file, with as many processes and open files after as before."""

    @asynccontextmanager
    async def opening(servers: dict, longest_s: float = 20.0):
        path = tmp_path / "mcp.json"
        path.write_text(json.dumps({"mcpServers": servers}))
        before = held()
        async with open_servers(path) as tools:
            yield Toolbox(tools, longest_s)
        assert held() == before

    return opening


class Http:
    """A server on a port of its own, which may be killed and started again."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        command = [sys.executable, ODD, str(self.port)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until_it_answers(self.process, self.port)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def http():
    server = Http()
    yield server
    server.kill()


@pytest.fixture(params=["stdio", "http"])
def odd(request) -> dict:
    if request.param == "stdio":
        return STDIO
    return {"url": f"http://127.0.0.1:{request.getfixturevalue('http').port}/mcp"}


def test_a_server_that_others_wrote(opened):
    async def story():
        async with opened({"time": TIME}) as box:
            specs = {spec.name: spec for spec in box.specs}
            assert set(specs) == {"get_current_time", "convert_time"}
            times = {"source_timezone": "Europe/London", "time": "12:30",
                     "target_timezone": "Asia/Tokyo"}  # fmt: skip
            done = await call(box, "convert_time", **times)
            assert done.ok and "T21:30" in done.text or "T20:30" in done.text
            done = await call(box, "get_current_time", timezone="Nowhere")
            assert not done.ok and "Nowhere" in done.text
            done = await call(box, "get_current_time")
            assert not done.ok and "'timezone' is a required property" in done.text

    asyncio.run(story())


def test_results_are_told_as_text(opened, odd):
    async def story():
        async with opened({"odd": odd}) as box:
            assert (await call(box, "add", a=1, b=2)).text == "3"
            table = (await call(box, "table")).text
            assert json.loads(table) == {"one": 1, "two": 2}  # once, not twice
            shown = await call(box, "picture")
            assert shown.text == "a red dot\n(an image that is not shown: image/png)"
            failed = await call(box, "broken")
            assert not failed.ok and failed.text.endswith("the shop is shut")
            big = await call(box, "big", megabytes=10)
            if odd is STDIO:  # a process of its own reads it, and this one does not
                assert not big.ok and "too long; ask for less" in big.text
            else:
                assert big.ok and len(big.text) < MOST + 100
                assert big.text.endswith(f"(cut: {10 << 20} characters in all)")
            assert (await call(box, "add", a=2, b=2)).text == "4"

    asyncio.run(story())


def test_a_call_that_hangs_is_given_up_and_others_go_on(opened, odd):
    async def story():
        async with opened({"odd": odd}, longest_s=1.0) as box:
            slow = asyncio.create_task(call(box, "hang", seconds=60.0))
            await asyncio.sleep(0.1)
            assert (await call(box, "add", a=2, b=2)).ok and not slow.done()
            assert (await slow).text == "no answer within 1 s"
            assert (await call(box, "add", a=2, b=3)).ok
            gone = asyncio.create_task(call(box, "hang", seconds=60.0))
            await asyncio.sleep(0.1)
            gone.cancel()
            await asyncio.wait([gone])

    asyncio.run(story())


def test_a_process_that_dies_is_started_again(opened):
    """In a call, beside a call, and between calls; nothing of the dead is kept."""

    async def story():
        async with opened({"odd": STDIO}) as box:
            first = int((await call(box, "pid")).text)
            full = held()
            beside, died = await asyncio.gather(
                call(box, "hang", seconds=60.0), call(box, "die")
            )
            for done in (beside, died):
                assert not done.ok and "odd did not answer" in done.text
            second, same = await asyncio.gather(call(box, "pid"), call(box, "pid"))
            assert second.ok and second.text == same.text and int(second.text) != first
            assert held() == full
            os.kill(int(second.text), signal.SIGKILL)
            end = time.monotonic() + 10
            while any(now == then for now, then in zip(held(), full, strict=True)):
                assert time.monotonic() < end  # the process, and then its pipes, are gone
                await asyncio.sleep(0.05)
            third = await call(box, "pid")
            assert third.ok and third.text != second.text and held() == full
            os.kill(int(third.text), signal.SIGKILL)
            fourth = await call(box, "pid")  # before any news of it
            assert fourth.ok and fourth.text != third.text and held() == full

    asyncio.run(story())


def test_an_address_that_dies_is_opened_again(opened, http):
    async def story():
        url = f"http://127.0.0.1:{http.port}/mcp"
        async with opened({"odd": {"url": url}}) as box:
            full = held()
            assert not (await call(box, "die")).ok
            http.process.wait()
            failed = await call(box, "add", a=1, b=1)
            assert not failed.ok and "odd does not start" in failed.text
            assert url not in failed.text
            http.start()
            assert (await call(box, "add", a=1, b=1)).ok
            http.kill()
            http.start()
            assert (await call(box, "add", a=1, b=1)).ok and held() == full

    asyncio.run(story())


def test_what_does_not_call_itself_harmless_is_asked_about(opened):
    async def story():
        listed = {"listed": STDIO | {"confirm": ["add"]}}
        for servers, asked in [
            ({"odd": STDIO}, {"buy", "both"}),
            (listed, {"add"}),
            ({"none": STDIO | {"confirm": []}}, set()),
        ]:
            async with opened(servers) as box:
                assert {spec.name for spec in box.specs if spec.confirm} == asked
        async with opened({"all": STDIO | {"confirm": True}}) as box:
            assert all(spec.confirm for spec in box.specs)

            async def decline(spec, arguments) -> bool:
                return (spec.name, arguments) != ("buy", {"what": "a car"})

            done = await call(box, "buy", decline, what="a car")
            assert not done.ok and done.text == "the user has not agreed to it"
            assert (await call(box, "buy", decline, what="tea")).text == "bought tea"

    asyncio.run(story())


def test_servers_with_the_same_tools(opened, http):
    async def story():
        net = {"url": f"http://127.0.0.1:{http.port}/mcp", "type": "http"}
        off = {"command": "nowhere", "disabled": True}
        async with opened({"odd": STDIO, "the net": net, "time": TIME, "off": off}) as box:
            names = [spec.name for spec in box.specs]
            assert "add" not in names and "get_current_time" in names
            pids = [(await call(box, f"{name}_pid")).text for name in ("odd", "the_net")]
            assert pids[0] != pids[1] and int(pids[1]) == http.process.pid

    asyncio.run(story())


LONG = st.builds(
    lambda text, n: text + "x" * n,
    st.text("ab_. ", max_size=3),
    st.sampled_from([0, 60, 62, 64, 99]),
)


@given(st.lists(st.tuples(LONG, LONG), max_size=12), st.lists(st.text("ab_", max_size=4)))
def test_names_are_distinct_and_such_as_models_are_told(tools, taken):
    tools = [(server, f"t{tool}") for server, tool in tools]
    names = distinct(tools, taken)
    assert len({*names, *taken}) == len(names) + len(set(taken))
    assert all(len(name) <= NAME and name.isascii() for name in names)
    assert not any(set(name) & set(". ") for name in names)


def test_structure_is_told_unless_the_text_says_it():
    text = [types.TextContent(text="two rows")]
    result = types.CallToolResult(content=text, structured_content={"rows": [1, 2]})
    assert told(result) == 'two rows\n{"rows": [1, 2]}'
    result = types.CallToolResult(content=[], structured_content=[1, "é"])
    assert told(result) == '[1, "é"]'
    link = types.ResourceLink(name="report", uri="file:///r.pdf")
    assert told(types.CallToolResult(content=[link])) == "(a link: report, file:///r.pdf)"


@pytest.mark.parametrize(
    ("servers", "why"),
    [
        ([], 'no object "mcpServers"'),
        ({"a": 1}, "server a: is no object"),
        ({"a": {}}, "server a: command: needed"),
        ({"a": {"command": "x", "url": "http://y"}}, "server a: command: there is a"),
        ({"a": {"command": 3}}, "server a: command: is no string"),
        ({"a": {"command": "x", "args": "y"}}, "server a: args: is no list of strings"),
        ({"a": {"command": "x", "env": {"N": 1}}}, "server a: env: is no object"),
        ({"a": {"command": "x", "headers": {}}}, "server a: headers: not known"),
        ({"a": {"url": "ftp://x"}}, "server a: url: no address"),
        ({"a": {"url": "https://u:secret@x/"}}, "server a: url: holds a password"),
        ({"a": {"url": "https://x/", "type": "sse"}}, "server a: type: sse has no url"),
        ({"a": {"command": "x", "confirm": False}}, "server a: confirm: neither true nor"),
        ({"a": {"command": "/no/such"}}, "server a: command: a does not start: .*No such"),
        ({"a": {"command": "true"}}, "server a: command: a does not start"),
        ({"a": {"url": "http://127.0.0.1:9/s"}}, "server a: url: a does not start"),
        ({"a": STDIO | {"confirm": ["by"]}}, "server a: confirm: it has no tool by"),
    ],
)  # fmt: skip
def test_a_bad_file_is_told_in_one_line(servers, why, opened, tmp_path):
    async def story():
        async with opened(servers):
            raise AssertionError

    before = held()
    with pytest.raises(InputError, match=why) as caught:
        asyncio.run(story())
    said = str(caught.value)
    assert said.startswith(str(tmp_path / "mcp.json")) and "\n" not in said
    assert ";" in said and "secret" not in said
    assert held() == before


def test_a_server_that_says_nothing_is_not_waited_for(opened, monkeypatch):
    monkeypatch.setattr(mcp_connection, "START_S", 0.5)

    async def story():
        silent = [sys.executable, "-c", "import time; time.sleep(60)"]
        async with opened({"a": {"command": silent[0], "args": silent[1:]}}):
            raise AssertionError

    before = held()
    with pytest.raises(InputError, match="a does not start: not up within 0.5 s"):
        asyncio.run(story())
    assert held() == before
