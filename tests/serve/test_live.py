"""The official client of OpenAI's Live protocol, unpatched, talks with the server."""

from __future__ import annotations

import asyncio
import base64

import numpy as np
import openai
import pytest


def connect(served):
    url = f"http://127.0.0.1:{served.port}/v1"
    return openai.AsyncOpenAI(api_key=served.key, base_url=url).live.connect()


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
    ],
)
def test_a_session_that_cannot_be_is_refused_with_the_reason(served, session, says):
    async def converse():
        async with connect(served) as connection:
            await connection.session.start(session={"model": "nano", **session})
            event = await asyncio.wait_for(connection.recv(), 20)
            assert event.type == "error" and says in event.error.message
            assert event.error.param.startswith("audio.format")

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
            await connection.session.commentary.append(
                content="it is thirteen", delegation_id=asked.id
            )
            while event.type != "session.commentary.appended":
                event = await asyncio.wait_for(connection.recv(), 20)

    asyncio.run(asyncio.wait_for(converse(), 60))
