"""What a client of Realtime does wrong is named, and is its own affair."""

from __future__ import annotations

import asyncio
import contextlib
import json

import openai
import pytest

SAID = "response.output_audio.delta"


def message(*content: dict, role: str = "user", **more) -> dict:
    return {"type": "message", "role": role, "content": list(content), **more}


REALTIME = {"type": "realtime"}
WRONG = [
    ("type", {"type": "session.sing"}),
    ("type", {"type": 5}),
    ("type", {}),
    ("audio", {"type": "input_audio_buffer.append"}),
    ("audio", {"type": "input_audio_buffer.append", "audio": "no base64!"}),
    ("audio", {"type": "input_audio_buffer.append", "audio": 7}),
    ("session", {"type": "session.update"}),
    ("session.type", {"type": "session.update", "session": {}}),
    ("session.type", {"type": "session.update", "session": {"type": "transcription"}}),
    *[
        (f"session.{param}", {"type": "session.update", "session": REALTIME | has})
        for param, has in (
            ("instructions", {"instructions": 3}),
            ("instructions", {"instructions": "x" * 4_001}),
            ("output_modalities", {"output_modalities": ["text", "audio"]}),
            ("output_modalities[0]", {"output_modalities": ["smell"]}),
            ("tools[0].name", {"tools": [{"type": "function"}]}),
            ("tools[0].type", {"tools": [{"type": "mcp", "name": "x"}]}),
            ("tool_choice", {"tool_choice": "maybe"}),
            ("audio.input.format.type", {"audio": {"input": {"format": {"type": "opus"}}}}),
            ("audio.output.format.rate",
             {"audio": {"output": {"format": {"type": "audio/pcm", "rate": 44_100}}}}),
            ("audio.input.transcription", {"audio": {"input": {"transcription": 1}}}),
        )
    ],
    *[
        (param, {"type": "conversation.item.create", "item": item})
        for param, item in (
            ("item.type", {"type": "song"}),
            ("item.role", message({"type": "input_text", "text": "x"}, role="judge")),
            ("item.content", message()),
            ("item.content[0].type", message({"type": "input_smell"})),
            ("item.content[0].type", message({"type": "input_audio", "audio": "AAAA"})),
            ("item.content[0].text", message({"type": "input_text"})),
            ("item.content[1].image_url",
             message({"type": "input_text", "text": "x"},
                     {"type": "input_image", "image_url": "http://127.0.0.1/a.png"})),
            ("item.content[0].image_url",
             message({"type": "input_image", "image_url": "data:image/png;base64,AAAA"})),
            ("item.id", message({"type": "input_text", "text": "x"}, id="")),
            ("item.output", {"type": "function_call_output", "call_id": "x"}),
        )
    ],
    ("previous_item_id", {
        "type": "conversation.item.create", "previous_item_id": "none",
        "item": message({"type": "input_text", "text": "x"}),
    }),
    ("item_id", {"type": "conversation.item.retrieve", "item_id": "none"}),
    ("item_id", {"type": "conversation.item.delete"}),
    ("item_id", {
        "type": "conversation.item.truncate", "item_id": "none", "content_index": 0,
        "audio_end_ms": 0,
    }),
    ("content_index", {
        "type": "conversation.item.truncate", "item_id": "x", "content_index": 1,
        "audio_end_ms": 0,
    }),
    ("audio_end_ms", {
        "type": "conversation.item.truncate", "item_id": "x", "content_index": 0,
        "audio_end_ms": -1,
    }),
    ("response.conversation", {
        "type": "response.create", "response": {"conversation": "none"},
    }),
    ("response.input", {"type": "response.create", "response": {"input": []}}),
    ("response.metadata", {"type": "response.create", "response": {"metadata": 1}}),
    ("response_id", {"type": "response.cancel", "response_id": 3}),
]  # fmt: skip


def test_what_is_wrong_is_named_and_the_session_goes_on(restless, talk, run):
    async def story():
        async with talk(restless) as it:
            for n, (_, event) in enumerate(WRONG):
                await it.sdk.send_raw(json.dumps(event | {"event_id": f"wrong-{n}"}))
            await it.sdk.send_raw("{half")
            await it.sdk.send_raw(b"\x00\x01")
            await it.sdk.send_raw("[" * 5_000)
            last = lambda e: len(it.of("error")) == len(WRONG) + 3  # noqa: E731
            await it.until("error", like=last)
            await it.until(SAID, after=len(it.got))
        errors = [e["error"] for e in it.of("error")]
        for n, ((param, event), error) in enumerate(zip(WRONG, errors[:-3], strict=True)):
            assert (error["param"], error["event_id"]) == (param, f"wrong-{n}"), event
            assert error["type"] == "invalid_request_error" and error["message"]
        assert "binary" in errors[-2]["message"]

    run(story())


def test_a_flood_ends_its_own_session_alone(restless, talk, run):
    async def story():
        async with talk(restless) as other, talk(restless) as it:
            with contextlib.suppress(Exception):
                for _ in range(400):
                    await it.sdk.send_raw('{"type": "session.sing"}')
            ends = lambda e: e["error"]["code"] == "session_ended"  # noqa: E731
            last = await it.until("error", like=ends)
            assert "messages" in last["error"]["message"]
            await other.until(SAID, after=len(other.got))
            assert not other.of("error")

    run(story())


def test_a_full_server_says_so(restless, talk, run):
    async def story():
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(restless.slots):
                await stack.enter_async_context(talk(restless))
            sdk = openai.AsyncOpenAI(
                api_key=restless.key, base_url=f"http://127.0.0.1:{restless.port}/v1"
            )
            async with sdk.realtime.connect(model="nano") as connection:
                error = await asyncio.wait_for(connection.recv(), 20)
                assert error.type == "error" and "slots are taken" in error.error.message
                with pytest.raises(Exception, match="1000"):
                    await connection.recv()

    run(story())
