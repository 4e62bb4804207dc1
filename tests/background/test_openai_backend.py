"""The backend over HTTP: with a server that others wrote, and which breaks what it is told
to, and with one that streams the very bytes that it is told to."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from interaction.background.backends import Lost, chat
from interaction.background.backends import openai as module
from interaction.background.backends.openai import Limits, OpenAIBackend
from interaction.background.backends.prompt import HEARD, LEFT_OUT, transcript
from interaction.background.backends.streamed import Reply
from interaction.background.protocol import (
    Commentary,
    Context,
    Failed,
    Final,
    Reference,
    Said,
    Thinking,
    ToolFinished,
    ToolStarted,
)
from interaction.errors import InputError

KEY = "sk-very-secret"
STOP = {"finish": "stop"}


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv(module.KEY, KEY)


@pytest.fixture(scope="session")
def mock(process):
    return process("-m", "llmock.cli", "serve", "--port", "{port}", "--log-level", "error")


@pytest.fixture(scope="session")
def exact(process):
    return process(str(Path(__file__).with_name("chat_server.py")), "{port}")


def ask(server, gather, context, **given):
    """-> what a backend says."""

    async def story():
        backend = OpenAIBackend("m", f"http://127.0.0.1:{server.port}/v1", **given)
        try:
            return await gather(backend, context)
        finally:
            await backend.close()

    return asyncio.run(story())


@pytest.fixture
def behave(mock, gather, talk):
    """What the backend says of the other's server, which does what it is told to."""

    def asked(*behaviors: dict, **given):
        mock.ask("/_llmock/reset", {})
        if behaviors:
            mock.ask("/_llmock/scenario", {"behaviors": behaviors})
        return ask(mock, gather, talk(), **given)

    return asked


@pytest.fixture
def exactly(exact, gather, talk):
    """What the backend says of replies, piece by piece."""

    def asked(*replies: list, **given):
        exact.ask("/script", replies)
        return ask(exact, gather, talk(), **given)

    return asked


def part(index, text="", name=None, id=None) -> dict:
    """A piece of a tool call."""
    call = {"index": index, "id": id, "function": {"name": name, "arguments": text}}
    return {"tool_calls": [call]}


def rome(times: int = 1) -> dict:
    return {"type": "reply", "text": "let me look", "times": times,
            "tool_calls": [{"name": "weather", "arguments": {"city": "Rome"}}]}  # fmt: skip


def test_words_a_call_and_an_answer(behave, mock, weather):
    said = behave(rome(), {"type": "reply", "text": "it is sunny in Rome"})
    words, started, finished, final = said
    assert words == Commentary("let me look")
    assert started == ToolStarted(started.call, "weather", {"city": "Rome"})
    assert finished == ToolFinished(started.call, "weather", True, "sunny")
    assert final == Final("it is sunny in Rome") and weather.asked == ["Rome"]
    first, second = mock.ask("/_llmock/requests")["requests"]
    assert first["stream"] and first["completed"]
    system, user = first["body"]["messages"]
    assert system["role"] == "system" and "be kind" in system["content"]
    assert user["content"].index("[2.8–4.0] agent: it snows") < user["content"].index(
        "[5.0] user, typed: a [9.9] user: b\n[6.0–7.0] user: and in Rome?\n"
    )
    assert "at 7.2 s: (it is not said" in user["content"]
    assert first["body"]["tools"][0]["function"]["name"] == "weather"
    assistant, tool = second["body"]["messages"][2:]
    assert assistant["tool_calls"][0]["id"] == tool["tool_call_id"] == started.call
    assert assistant["content"] == "let me look" and tool["content"] == "sunny"


def test_it_calls_tools_as_others_would(behave, weather):
    """The server chooses the call by the tool's schema."""
    said = behave()
    assert isinstance(said[-1], Final) and len(weather.asked) == 1


def test_what_a_model_gets_wrong_is_told_to_it(behave, mock):
    for kind, why in [
        ("malformed_arguments", "arguments: no JSON"),
        ("unknown_tool", "there is: weather"),
    ]:
        said = behave({"type": "tool_fault", "kind": kind})
        started, finished, final = said
        assert isinstance(started, ToolStarted) and isinstance(final, Final)
        assert not finished.ok and why in finished.text
        told = mock.ask("/_llmock/requests")["requests"][-1]["body"]["messages"][-1]
        assert told["content"] == f"failed: {finished.text}"


@pytest.mark.parametrize("kind", ["disconnect", "truncate", "malformed", "stall"])
def test_a_stream_that_breaks_is_lost(behave, mock, gather, talk, kind):
    """Nothing of it passes for an answer; what is asked next goes on."""
    fault = {"type": "stream_fault", "kind": kind, "after_chunks": 2, "stall_seconds": 5}
    with pytest.raises(Lost):
        behave({"type": "reply", "text": "one two three four"}, fault, silent_s=1.0)
    (final,) = ask(mock, gather, replace(talk(), tools=()))
    assert isinstance(final, Final)
    requests = mock.ask("/_llmock/requests")["requests"]
    assert [request["fault"] is None for request in requests] == [False, True]


@pytest.mark.parametrize(
    ("status", "why"),
    [(400, module.REFUSED), (401, module.REFUSALS[401]), (404, module.REFUSALS[404]),
     (429, module.REFUSALS[429])],
)  # fmt: skip
def test_a_refusal_is_told_in_words(behave, status, why):
    said = behave({"type": "fail", "status": status, "times": None,
                   "message": f"not {KEY}"}, retries=0)  # fmt: skip
    assert said == [Thinking(said[0].text), Failed(why)]
    assert f"HTTP {status}" in said[0].text and "not (the key)" in said[0].text


def test_an_endpoint_that_is_busy_is_asked_again(behave, mock):
    """As it wants it: no sooner, and not for what trying again cannot mend."""
    busy = {"type": "fail", "status": 429, "retry_after": 0.5}
    said = behave(busy, {"type": "reply", "text": "here"})
    assert said[-1] == Final("here")
    assert mock.ask("/_llmock/verdict")["passed"]
    with pytest.raises(Lost, match="HTTP 503"):
        behave({"type": "fail", "status": 503, "times": None}, retries=0)


def test_no_endpoint_is_lost(gather, talk):
    gone = SimpleNamespace(port=9)
    with pytest.raises(Lost):
        ask(gone, gather, talk(), retries=0)


def test_thoughts_and_words_in_pieces(exactly, weather):
    thoughts = [{"reasoning_content": "x" * 150}] * 3 + [{"reasoning": "so"}]
    call = [part(0, name="weather", id="a"), part(0, '{"city": '), part(0, '"Oslo"}')]
    words = [{"content": " I "}, {"content": "look"}]
    first = [*thoughts, *words, *call, {"content": " up"}, {"finish": "tool_calls"}]
    said = exactly(first, [{"content": "done"}, STOP])
    assert said == [
        Thinking("x" * 300), Commentary("I look"), Thinking("x" * 150 + "so"),
        Commentary("up"), ToolStarted("a", "weather", {"city": "Oslo"}),
        ToolFinished("a", "weather", True, "sunny"), Final("done"),
    ]  # fmt: skip


def test_several_calls_at_once(exactly, exact, weather):
    """By index, or by id where an endpoint counts all as the first; with no id at all."""
    mixed = [part(0, '{"ci', "weather", "a"), part(1, '{"city"', "weather"),
             part(0, 'ty": "Rome"}'), part(1, ': "Atlantis"}'),
             part(0, '{"city": "Oslo"}', "weather", "c"),
             part(None, '{"city": ', "weather", "d"), part(None, '"Pisa"}'),
             STOP]  # fmt: skip
    said = exactly(mixed, [{"content": "done"}, STOP])
    assert weather.asked == ["Rome", "Atlantis", "Oslo", "Pisa"]
    finished = [update for update in said if isinstance(update, ToolFinished)]
    assert [done.ok for done in finished] == [True, False, True, True]
    told = exact.ask("/got")["got"][-1]["body"]["messages"]
    ids = [message["tool_call_id"] for message in told if message["role"] == "tool"]
    assert ids == [call["id"] for call in told[2]["tool_calls"]]
    assert ids == ["a", "call11", "c", "d"]
    assert told[4]["content"] == "failed: there is no city Atlantis"


def test_what_a_model_may_do_has_an_end(exactly, exact, weather):
    call = part(0, '{"city": "Rome"}', "weather", "a")
    said = exactly(*[[call, STOP]] * 3, limits=Limits(steps=3))
    assert said[-1] == Failed(chat.TOO_MANY) and len(weather.asked) == 2
    many = [part(n, '{"city": "Rome"}', "weather", str(n)) for n in range(4)]
    said = exactly([*many, STOP], [{"content": "done"}, STOP], limits=Limits(calls=3))
    assert [u.ok for u in said if isinstance(u, ToolFinished)] == [True] * 3 + [False]
    assert len(weather.asked) == 5 and said[-1] == Final("done")
    for flood in ({"content": "xx"}, {"reasoning": "xx"}, part(0, "xx"), part(None)):
        said = exactly([flood] * 2000, limits=Limits(characters=500))
        assert said[-1] == Failed(chat.TOO_LONG)
    once = [{"content": "x" * 300}, call, STOP]
    said = exactly(once, [{"content": "x" * 300}, STOP], limits=Limits(characters=500))
    assert said[-1] == Failed(chat.TOO_LONG)


def test_ends_that_are_no_answers(exactly):
    assert exactly([{"content": " "}, STOP]) == [Failed(chat.NOTHING)]
    filtered = [{"content": "wha"}, {"finish": "content_filter"}]
    assert exactly(filtered) == [Failed(chat.FILTERED)]
    for piece in ({"cut": True}, {"raw": '{"error": {"message": "oh"}}'}, {"raw": "[1"}):
        with pytest.raises(Lost):
            exactly([{"content": "wha"}, piece, STOP])


def test_whoever_stops_listening_stops_the_stream(exact, tools, talk):
    """The endpoint sees it, and does not write on for nobody."""
    long = [{"reasoning": "x" * 300}, *[{"wait_s": 0.05}, {"content": "y"}] * 400]
    exact.ask("/script", [long])

    async def story():
        backend = OpenAIBackend("m", f"http://127.0.0.1:{exact.port}/v1")

        async def refuse(*_) -> bool:
            return False

        async with aclosing(backend.run(talk(), tools, refuse)) as updates:
            async for _ in updates:
                assert exact.ask("/got")["open"] == 1
                break
        end = time.monotonic() + 5
        while exact.ask("/got")["open"]:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        await backend.close()

    asyncio.run(story())


def test_the_key_goes_into_the_header_alone(exactly, exact, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    assert exactly([{"content": "hi"}, STOP]) == [Final("hi")]
    asked = exact.ask("/got")["got"][-1]
    assert asked["key"] == f"Bearer {KEY}" and KEY not in json.dumps(asked["body"])
    assert "tools" in asked["body"] and KEY not in caplog.text
    for url in ("https://me:secret@x/v1", "https://x/v1?key=secret"):
        with pytest.raises(InputError, match="set OPENAI_API_KEY instead") as caught:
            OpenAIBackend("m", url)
        assert "secret@" not in str(caught.value)
    monkeypatch.delenv(module.KEY)
    with pytest.raises(InputError, match="OPENAI_API_KEY is not set"):
        OpenAIBackend("m")
    assert exactly([{"content": "hi"}, STOP]) == [Final("hi")]


def test_of_a_long_talk_the_end_is_told():
    said = tuple(Said("user", n, n + 0.5, f"word {n} " * 20) for n in range(2_000))
    frame = Reference("frame", 1_999.0, 1_999.25, "file:///f.png")
    lines = transcript(Context("t", 0.0, said=said, references=(frame,))).splitlines()
    assert lines[0] == LEFT_OUT and "word 1999 " in lines[-1]
    assert lines[-2] == "[1999.0–1999.2] (frame at file:///f.png)"
    assert HEARD * 0.9 < sum(map(len, lines)) <= HEARD + len(LEFT_OUT)


@given(
    st.lists(st.text(max_size=12), min_size=1, max_size=4),
    st.lists(st.integers(0, 400)),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_calls_split_anywhere_are_the_same(cities, cuts, order, repeat):
    """Each call's pieces come in their order, among those of the others."""
    queues = []
    for n, city in enumerate(cities):
        text = json.dumps({"city": city, "n": n})
        at = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
        pieces = [text[a:b] for a, b in zip(at, at[1:], strict=False)]
        queues.append([(n, piece) for piece in pieces])
    reply, begun = Reply(), set()
    for n in range(len(cities)):  # calls begin in their order
        _take(reply, n, "", begun, repeat)
    while any(queues):
        n, piece = order.choice([queue for queue in queues if queue]).pop(0)
        _take(reply, n, piece, begun, repeat)
    assert [call.id for call in reply.calls] == [f"id{n}" for n in range(len(cities))]
    assert all(call.name == "weather" for call in reply.calls)
    assert [call.arguments() for call in reply.calls] == [
        {"city": city, "n": n} for n, city in enumerate(cities)
    ]


def _take(reply: Reply, n: int, text: str, begun: set[int], repeat: bool) -> None:
    """A piece of call n. repeat: endpoints may tell its name and id with each piece."""
    known = n in begun and not repeat
    begun.add(n)
    function = SimpleNamespace(name=None if known else "weather", arguments=text)
    call = SimpleNamespace(index=n, id=None if known else f"id{n}", function=function)
    reply.take(SimpleNamespace(content=None, tool_calls=[call]))
