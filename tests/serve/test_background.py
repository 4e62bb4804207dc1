"""A server with a background model: what is delegated comes back in the conversation."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import openai
import pytest

from interaction.serve.client import Client
from tests.serve.conftest import Served

SHOP = Path(__file__).parents[1] / "background" / "mcp_server.py"
BARS = {
    "mark": "bar",
    "data": {"values": [{"a": "x", "b": 3}, {"a": "y", "b": 5}]},
    "encoding": {"x": {"field": "a"}, "y": {"field": "b", "type": "quantitative"}},
    "title": "Two bars",
}
SCRIPT = [
    {
        "match": "what is (\\d+) times (\\d+)",
        "steps": [
            {"think": "a product"},
            {"call": "calculator", "arguments": {"expression": "{1} * {2}"}},
            {"wait_s": 1.5},
            {"final": "it is {result}"},
        ],
    },
    {
        "match": "buy (\\w+)",
        "steps": [
            {"call": "buy", "arguments": {"what": "{1}"}},
            {"final": "well: {result}"},
        ],
    },
    {
        "match": "draw",
        "steps": [{"call": "chart", "arguments": {"spec": BARS}}, {"final": "{result}"}],
    },
    {"match": "wait", "steps": [{"think": "long"}, {"wait_s": 300}, {"final": "late"}]},
]


@pytest.fixture(scope="module")
def thinking(packed, tiny, tiny_params):
    """A server whose model knows two words, and so delegates often when it is warm."""
    place = packed(dataclasses.replace(tiny, vocab_used=2), tiny_params)
    (place / "script.json").write_text(json.dumps(SCRIPT))
    shop = {"command": sys.executable, "args": [str(SHOP)]}
    (place / "mcp.json").write_text(json.dumps({"mcpServers": {"shop": shop}}))
    script = f"--background=scripted:{place / 'script.json'}"
    tools = f"--tools={place / 'mcp.json'}"
    server = Served(place, script, tools, "--temperature=10", slots=2)
    yield server
    server.end()


def client(served, **options) -> Client:
    return Client(f"ws://127.0.0.1:{served.port}", served.key, temperature=10.0, **options)


async def background(talk: Client, until: str, text: str = "") -> list[tuple[str, str]]:
    """What comes of it in a conversation, up to an update of some kind."""
    quiet, found = np.zeros(3200, np.float32), []
    await talk.hear(quiet, text=text)
    async for said in talk:
        events = [e for e in said.message.events if e.lane == "background"]
        found += [(e.kind, e.text) for e in events]
        if until in [kind for kind, _ in found]:
            return found
        await talk.hear(quiet)
    raise AssertionError(talk.why)


async def back(served, token: str) -> Client:
    """As soon as the server has noticed that the connection broke."""
    async with asyncio.timeout(30):
        while served.figure("interaction_sessions_held") == 0:
            await asyncio.sleep(0.1)
    return client(served, resume=token)


def test_a_task_runs_and_comes_back_over_a_broken_connection(thinking):
    async def converse():
        talk = await client(thinking).__aenter__()
        text = "what is 6 times 7"
        begun = await asyncio.wait_for(background(talk, "tool_finished", text), 60)
        talk._socket.transport.abort()
        async with await back(thinking, talk.token) as talk:
            ended = await asyncio.wait_for(background(talk, "final"), 60)
        return begun, ended

    begun, ended = asyncio.run(converse())
    (task,) = {text.split(":")[0] for kind, text in begun if kind == "tool_finished"} or {
        ""
    }
    mine = [(kind, text) for kind, text in begun if text.startswith(f"{task}:")]
    assert mine == [
        ("thinking", f"{task}: a product"),
        ("tool_started", f'{task}: calculator(expression="6 * 7")'),
        ("tool_finished", f"{task}: calculator: 42"),
    ]
    assert ("final", f"{task}: it is 42") in ended


def final(served, text: str, **options) -> tuple[str, Client]:
    """How the first task ends, and the client that saw it."""

    async def converse():
        async with client(served, **options) as talk:
            found = await asyncio.wait_for(background(talk, "final", text), 60)
        return next(text for kind, text in found if kind == "final"), talk

    return asyncio.run(converse())


@pytest.mark.parametrize("yes", [True, False])
def test_a_tool_that_acts_asks_first(thinking, yes):
    asked = []
    ended, _ = final(thinking, "buy bread", agree=lambda q: asked.append(q) or yes)
    assert ("bought bread" in ended) is yes
    assert (asked[0].tool, asked[0].arguments) == ("buy", 'what="bread"')


def test_where_nobody_can_be_asked_it_does_not_act(thinking):
    ended, _ = final(thinking, "buy bread")
    assert "the user has not agreed" in ended


def test_charts_are_drawn(thinking):
    ended, talk = final(thinking, "draw")
    assert "bar chart" in ended
    assert talk.drawn[0].svg.startswith("<svg") and "Two bars" in talk.drawn[0].svg


@pytest.mark.parametrize(
    ("delegation", "target"),
    [(None, "client"), ("client", "client"), ("responses", "responses")],
)
def test_a_live_client_may_take_delegations_itself(thinking, delegation, target):
    async def converse():
        url = f"http://127.0.0.1:{thinking.port}/v1"
        sdk = openai.AsyncOpenAI(api_key=thinking.key, base_url=url)
        session = {"model": "nano"}
        if delegation:
            session["delegation"] = {"type": delegation}
        async with sdk.live.connect() as connection:
            await connection.session.start(session=session)
            async with asyncio.timeout(60):
                async for event in connection:
                    if event.type == "session.delegation.created":
                        return event.delegation
        raise AssertionError

    found = asyncio.run(converse())
    assert found.target == target and isinstance(found.directive, str)
    assert found.id.startswith("dlg_" if target == "client" else "task_")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--background=mind"], "--background=mind: unknown; use none, scripted:FILE"),
        (["--background=scripted:/no/such"], "/no/such"),
        (["--tools=mcp.json"], "name --background"),
        (["--background=openai:m@http://127.0.0.1:9/v1", "--tools=no.json"], "no.json"),
    ],
)
def test_a_wrong_background_is_one_line(flags, words):
    command = [sys.executable, "-m", "interaction.serve", *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and words in done.stderr, done.stderr
