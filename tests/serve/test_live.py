"""The official client of OpenAI's Live protocol, unpatched, talks with the server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time

import numpy as np
import openai
import pytest
from starlette.testclient import TestClient

from interaction.background.backends.scripted import ScriptedBackend
from interaction.package import open_package
from interaction.serve.backstage import Backstage
from interaction.serve.engine import Engine
from interaction.serve.limits import Limits
from interaction.serve.server import app
from tests.serve.conftest import SLOTS


def connect(served, **query):
    url = f"http://127.0.0.1:{served.port}/v1"
    sdk = openai.AsyncOpenAI(api_key=served.key, base_url=url)
    return sdk.live.connect(extra_query=query)


def pcm(seconds: float, rate: int, seed: int = 0) -> list[str]:
    """Base64 of 20 ms each."""
    n = round(rate * seconds)
    wave = 0.1 * np.random.default_rng(seed).standard_normal(n)
    data = (32767 * wave).astype("<i2").tobytes()
    step = rate // 50 * 2
    return [
        base64.b64encode(data[k : k + step]).decode() for k in range(0, len(data), step)
    ]


async def begin(connection, **session) -> object:
    await connection.session.start(session={"model": "nano", **session})
    started = await connection.recv()
    assert started.type == "session.started", started
    return started


@pytest.mark.parametrize(("kind", "rate"), [("audio/pcm", 24_000), ("audio/pcmu", 8_000)])
def test_sound_goes_both_ways_at_once(served, kind, rate):
    """Four seconds in real time; deltas come while it still sends."""

    async def converse():
        got: list = []
        async with connect(served) as connection:
            form = {"type": kind, "rate": rate}
            started = await begin(
                connection, audio={"format": form}, instructions="be brief"
            )
            assert started.session.audio.format.rate == rate
            sending = True

            async def listen():
                async for event in connection:
                    got.append((sending, event))

            listening = asyncio.create_task(listen())
            for part in pcm(4.0, rate):
                if kind == "audio/pcmu":
                    part = base64.b64encode(bytes(rate // 50)).decode()
                await connection.session.input_audio.append(audio=part)
                await asyncio.sleep(0.02)
            sending = False
            await connection.session.close(event_id="the-last")
            await asyncio.wait_for(listening, 30)
        kinds = {event.type for _, event in got}
        deltas = [(early, e) for early, e in got if e.type == "session.output_audio.delta"]
        assert sum(early for early, _ in deltas) >= 5
        size = sum(len(base64.b64decode(e.delta)) for _, e in deltas)
        width = 2 if kind == "audio/pcm" else 1
        assert abs(size / (width * rate) - 0.2 * len(deltas)) < 0.07
        closed = got[-1][1]
        assert closed.type == "session.closed" and closed.reason == "close_requested"
        assert closed.usage.seconds >= 0.2 * len(deltas) - 0.01
        assert "error" not in kinds and "session.output_transcript.delta" in kinds
        spans = [e for _, e in got if e.type == "session.output_transcript.delta"]
        assert all(e.end_ms - e.start_ms == 200 for e in spans)

    asyncio.run(converse())


def test_what_is_appended_is_acknowledged_and_what_is_wrong_is_named(served):
    async def converse():
        async with connect(served) as connection:
            await begin(connection)
            session = connection.session
            await session.thinking.append(content="13", delegation_id=None, event_id="a")
            await session.commentary.append(content="it is", delegation_id=None)
            await session.instructions.append(content="speak up", delegation_id=None)
            await session.input_audio.mute(event_id="b")
            await session.input_audio.append(audio="no base64!")
            await connection.send({"type": "session.sing", "event_id": "c"})
            await connection.send(
                {"type": "session.thinking.append", "content": 5, "event_id": "d"}
            )
            want = {
                "session.thinking.appended", "session.commentary.appended",
                "session.instructions.appended", "session.input_audio.muted",
            }  # fmt: skip
            errors = []
            while want or len(errors) < 3:
                event = await asyncio.wait_for(connection.recv(), 20)
                if event.type == "error":
                    errors.append(event.error)
                elif event.type in want:
                    want.remove(event.type)
                    if event.type == "session.thinking.appended":
                        assert event.client_event_id == "a" and event.start_ms >= 0
            assert [e.param for e in errors] == ["audio", "type", "content"]
            assert [e.client_event_id for e in errors] == [None, "c", "d"]
            assert "base64" in errors[0].message

    asyncio.run(converse())


@pytest.mark.parametrize(
    ("session", "says"),
    [
        ({"audio": {"format": {"type": "audio/pcm", "rate": 44100}}}, "16000 or 24000"),
        ({"audio": {"format": {"type": "audio/opus", "rate": 48000}}}, "audio/pcmu"),
        ({"delegation": {"type": "responses"}}, "no background model is here"),
    ],
)
def test_a_session_that_cannot_be_is_refused_with_the_reason(served, session, says):
    async def converse():
        async with connect(served) as connection:
            await connection.session.start(session={"model": "nano", **session})
            event = await asyncio.wait_for(connection.recv(), 20)
            assert event.type == "error" and says in event.error.message
            field = "session.delegation" if "delegation" in session else "audio.format"
            assert event.error.param.startswith(field)

    asyncio.run(converse())


def test_a_delegation_is_told_and_answered(served):
    async def converse():
        async with connect(served) as connection:
            await begin(connection)
            async for event in connection:
                if event.type == "session.output_audio.delta":
                    await connection.session.input_audio.append(audio=pcm(0.2, 24_000)[0])
                if event.type == "session.delegation.created":
                    break
            asked = event.delegation
            assert asked.target == "client" and event.offset_ms % 200 == 0
            assert asked.id.startswith("dlg_")
            session, refused = connection.session, []
            for words in (session.thinking, session.commentary, session.instructions):
                await words.append(content="a", delegation_id="dlg_of_another")
                await words.append(content="it is thirteen", delegation_id=asked.id)
            while event.type != "session.instructions.appended":
                event = await asyncio.wait_for(connection.recv(), 20)
                if event.type == "error":
                    refused.append(event.error)
            assert [error.param for error in refused] == ["delegation_id"] * 3
            assert "dlg_of_another" in refused[0].message

    asyncio.run(asyncio.wait_for(converse(), 60))


async def said(served, turns: int = 14, first=None, **query) -> tuple[str, object]:
    """What is said to who says nothing, in the turns before the last; the session."""
    async with connect(served, **query) as connection:
        started = await begin(connection)
        if first:
            await first(connection.session)
        words, n = "", 0
        while n < turns:
            event = await asyncio.wait_for(connection.recv(), 30)
            assert event.type != "error", event
            n += event.type == "session.output_audio.delta"
            if event.type == "session.output_transcript.delta" and n < turns:
                words += event.delta
        return words, started.session


def test_thinking_is_silent_and_commentary_and_instructions_are_read(served):
    """By what the model says next: a seed says the same to who says nothing."""
    plan = "the answer is thirteen"

    async def converse():
        return await asyncio.gather(
            said(served, **SAME),
            said(served, first=lambda s: s.thinking.append(content=plan, **NONE), **SAME),
            said(served, first=lambda s: s.commentary.append(content=plan, **NONE), **SAME),
            said(served, first=lambda s: s.update(session={"instructions": plan}), **SAME),
        )

    told = asyncio.run(converse())
    plain, thinking, commentary, update = [words for words, _ in told]
    assert plain == thinking != ""
    assert plain not in (commentary, update)


SAME, NONE = {"seed": "5", "temperature": "1"}, {"delegation_id": None}


def test_a_seed_and_a_temperature_are_asked_for_in_the_address(served):
    """And told in the session: what was drawn can be had again."""

    async def converse():
        drawn = await asyncio.gather(said(served), said(served), said(served))
        sessions = [session for _, session in drawn]
        assert len({session.seed for session in sessions}) == 3
        assert {session.temperature for session in sessions} == {1.0}
        assert len({words for words, _ in drawn}) > 1
        again, cold = await asyncio.gather(
            said(served, seed=str(sessions[0].seed), temperature="1.0"),
            said(served, seed=str(sessions[0].seed), temperature="0"),
        )
        assert again[0] == drawn[0][0] and cold[1].temperature == 0.0
        for wrong in ({"seed": "x"}, {"temperature": "-1"}, {"temperature": "nan"}):
            async with connect(served, **wrong) as connection:
                await connection.session.start(session={"model": "nano"})
                event = await asyncio.wait_for(connection.recv(), 20)
                assert event.type == "error" and [event.error.param] == [*wrong]

    asyncio.run(converse())


def test_an_update_changes_what_can_change_and_names_what_cannot(served):
    fixed = {
        "model": "another", "audio": {"format": {"type": "audio/pcmu", "rate": 8000}},
        "delegation": {"type": "responses"}, "store": True, "triggers": [],
        "instructions": 5,
    }  # fmt: skip
    same = {"model": "nano", "delegation": {"type": "client"}}

    async def converse():
        async with connect(served) as connection:
            started = await begin(connection, instructions="be brief")
            assert started.session.delegation.type == "client"
            update, got = connection.session.update, []
            for name, value in fixed.items():
                await update(session={"instructions": "go on", name: value})
            await update(session=same | {"instructions": "be kind"}, event_id="a")
            while not got or got[-1].type != "session.updated":
                event = await asyncio.wait_for(connection.recv(), 20)
                if event.type in ("error", "session.updated"):
                    got.append(event)
            named = [event.error.param for event in got[:-1]]
            assert named == [f"session.{name}" for name in fixed]
            assert got[-1].session.instructions == "be kind"
            assert got[-1].client_event_id == "a"

    asyncio.run(converse())


@pytest.fixture(scope="module")
def engine(eager) -> Engine:
    return Engine(open_package(eager), SLOTS)


def until(talk, kind: str) -> dict:
    while (event := talk.receive_json())["type"] != kind:
        assert event["type"] != "error", event
    return event


def test_a_background_model_is_given_the_thinking(engine, tmp_path):
    """And the instructions; of its tasks a client says nothing."""
    (tmp_path / "script.json").write_text(json.dumps([]))

    @contextlib.asynccontextmanager
    async def background():
        yield Backstage(ScriptedBackend(tmp_path / "script.json"), [])

    served = app(engine, Limits(), close=0, background=background)
    session = {"model": "nano", "instructions": "be brief"}
    with TestClient(served) as client:
        with client.websocket_connect("/v1/live/sessions") as talk:
            session["delegation"] = {"type": "responses"}
            talk.send_json({"type": "session.start", "session": session})
            until(talk, "session.started")
            think = {"type": "session.thinking.append", "content": "they are at home"}
            talk.send_json(think)
            until(talk, "session.thinking.appended")
            for _ in range(3):
                until(talk, "session.output_audio.delta")
            (begun,) = served.state.house.here
            told = begun.call.partner.memory.context("task", 0.0, "", ()).instructions
            assert told.startswith("be brief\n") and told.endswith("\nthey are at home")
            talk.send_json(think | {"delegation_id": "task_1"})
            while (event := talk.receive_json())["type"] != "error":
                pass
            assert event["error"]["param"] == "delegation_id"


def test_a_session_ends_when_it_expires(engine):
    served = app(engine, Limits(life_s=1.0), close=0)
    with TestClient(served) as client:
        with client.websocket_connect("/v1/live/sessions") as talk:
            talk.send_json({"type": "session.start", "session": {"model": "nano"}})
            expires = until(talk, "session.started")["session"]["expires_at"]
            last = until(talk, "session.closed")
            assert last["reason"] == "expired" and last["session"]["expires_at"] == expires
            assert expires <= time.time() < expires + 60
