"""The official client of OpenAI's Realtime protocol, unpatched, talks with the server."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import time
from collections import defaultdict

import numpy as np
import openai
import pytest
from PIL import Image

from interaction.serve.realtime import PATIENCE

SAID = "response.output_audio.delta"
DONE = "conversation.item.done"
TOOL = {
    "type": "function",
    "name": "delegate",
    "description": "think about what was said",
    "parameters": {"type": "object", "properties": {"heard": {"type": "string"}}},
}


def figure(server, name: str) -> float:
    """0 where it has not been counted yet."""
    return server.figure(name) if name in server.get("/metrics")[1] else 0.0


@pytest.mark.parametrize(
    ("form", "rate"),
    [({"type": "audio/pcm", "rate": 24_000}, 24_000), ({"type": "audio/pcma"}, 8_000)],
)
def test_both_speak_at_once(restless, form, rate, talk, run):
    """Sound and words come while sound goes in; the model's own silences, breaks and
    yielding end responses; the words it heard are told as the user's speech."""

    async def story():
        async with talk(restless, rate) as it:
            audio = {"input": {"format": form}, "output": {"format": form}}
            await it.sdk.session.update(session={"type": "realtime", "audio": audio})
            session = (await it.until("session.updated"))["session"]
            assert session["audio"]["output"]["format"]["rate"] == rate
            assert session["model"] == "nano"
            # A response has the format of when it began: those from here on count.
            begun = len(it.got)

            def new() -> set[str]:
                return {e["response"]["id"] for e in it.of("response.created", begun)}

            def done(status: str):
                ended = lambda r: r["status"] == status and r["id"] in new()  # noqa: E731
                return lambda e: ended(e["response"])

            yielded = await it.until("response.done", like=done("cancelled"))
            details = yielded["response"]["status_details"]
            assert details == {"type": "cancelled", "reason": "turn_detected"}
            await it.until("response.done", like=done("completed"))
            await it.until("input_audio_buffer.speech_started")
            await it.sdk.input_audio_buffer.commit()  # or it ends when no words come
            heard = await it.until("conversation.item.input_audio_transcription.completed")
            data = bytes(10 * rate * (1 if rate == 8_000 else 2))
            await it.sdk.input_audio_buffer.append(audio=base64.b64encode(data).decode())
            taken = len(it.got)  # what is on its way when a connection is closed is lost
            await it.sdk.input_audio_buffer.commit()
            await it.until("input_audio_buffer.committed", after=taken)
        deltas = it.of(SAID)
        assert deltas[-1]["sent"] > deltas[0]["sent"]  # more went in between
        assert it.of("response.output_audio_transcript.delta")
        sent = defaultdict(int)
        for delta in deltas:
            sent[delta["item_id"]] += len(base64.b64decode(delta["delta"]))
        width = 1 if rate == 8_000 else 2
        items = {e["item"]["id"] for e in it.of("response.output_item.added", begun)
                 if e["response_id"] in new()}  # fmt: skip
        cut = [e for e in it.of("conversation.item.truncated") if e["item_id"] in items]
        assert cut and all(
            e["audio_end_ms"] == 1000 * sent[e["item_id"]] // (width * rate) for e in cut
        )
        began, ended, _ = (
            next(e for e in it.of(kind) if e["item_id"] == heard["item_id"])
            for kind in (
                "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped",
                "input_audio_buffer.committed",
            )
        )  # fmt: skip
        assert began["audio_start_ms"] < ended["audio_end_ms"]
        words = "".join(
            e["delta"]
            for e in it.of("conversation.item.input_audio_transcription.delta")
            if e["item_id"] == heard["item_id"]
        )
        assert words and words == heard["transcript"]

    late = 'interaction_input_dropped_total{why="late"}'
    before = figure(restless, late)
    run(story())
    end = time.monotonic() + 20
    while figure(restless, late) < before + 40:  # turns, of the 10 s that came at once
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_whole_response_has_the_sound_of_its_turns(restless, talk, run):
    """Nothing is held back at its end: whole turns, and what rings out."""

    def whole(event) -> bool:
        kinds = [item["type"] for item in event["response"]["output"]]
        return event["response"]["status"] == "completed" and "message" in kinds

    async def story():
        async with talk(restless) as it:
            done = await it.until("response.done", like=whole)
            of = done["response"]["id"]
        deltas = [
            base64.b64decode(e["delta"]) for e in it.of(SAID) if e["response_id"] == of
        ]
        samples = sum(map(len, deltas)) // 2
        # Turns of 200 ms at 24 kHz, and 50 ms that ring out; a sample more or less.
        assert (samples + 1) % 4_800 <= 1_202, samples

    run(story())


def test_text_alone(restless, talk, run):
    async def story():
        async with talk(restless) as it:
            session = {"type": "realtime", "output_modalities": ["text"]}
            await it.sdk.session.update(session=session)
            await it.until("session.updated")
            after = len(it.got)
            written = await it.until("response.output_text.done", after=after)
            assert written["text"]
            done = await it.until("response.done", after=it.got.index(written))
            assert done["response"]["output_modalities"] == ["text"]
            contents = [c for i in done["response"]["output"] for c in i.get("content", [])]
            assert {"type": "output_text", "text": written["text"]} in contents

    run(story())


def test_what_is_cancelled_is_not_heard_on(served, talk, run):
    """That model speaks on and on. What the client then asks for is answered when it has
    something new to say, or with nothing."""

    async def story():
        async with talk(served) as it:
            said = await it.until(SAID)
            item, response = said["item_id"], it.sdk.response
            # In one go: the model may fall silent, and speak again, in any turn.
            await response.create(event_id="too-early")
            await response.cancel(response_id=said["response_id"])
            await it.sdk.conversation.item.truncate(
                item_id=item, content_index=0, audio_end_ms=20
            )
            await it.sdk.conversation.item.retrieve(item_id=item)
            await response.cancel(event_id="too-late")
            began = time.monotonic()
            await response.create(response={"metadata": {"a": "b"}})
            refused = (await it.until("error"))["error"]
            assert refused["code"] == "conversation_already_has_active_response"
            assert refused["event_id"] == "too-early"
            cancelled = await it.until("response.done")
            done, end = cancelled["response"], it.got.index(cancelled) + 1
            assert done["id"] == said["response_id"]
            assert done["status_details"]["reason"] == "client_cancelled"
            assert done["output"][-1]["status"] == "incomplete"
            assert done["output"][-1]["id"] == item
            await it.until("conversation.item.truncated", after=end)
            found = (await it.until("conversation.item.retrieved"))["item"]
            assert found["content"] == [{"type": "output_audio", "transcript": ""}]
            again = (await it.until("error", after=end))["error"]
            assert again["code"] == "response_cancel_not_active"
            assert again["event_id"] == "too-late"
            asked = (await it.until("response.created", after=end))["response"]
            assert asked["metadata"] == {"a": "b"} and asked["status"] == "in_progress"
            ended = await it.until("response.done", after=end)
            answer = ended["response"]
            assert answer["id"] == asked["id"]
            if not answer["output"]:  # the clock may have caught up some turns
                assert time.monotonic() - began > 0.2 * (PATIENCE - 5)
            # The turn that ends it may begin another.
            said_after = [e for e in it.got[end : it.got.index(ended)] if e["type"] == SAID]
            assert all(e["response_id"] == asked["id"] for e in said_after)
            assert bool(said_after) == bool(answer["output"])

    run(story())


def png(colour: int) -> str:
    file = io.BytesIO()
    Image.fromarray(np.full((48, 90, 3), colour, np.uint8)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def message(*content: dict, role: str = "user", **more) -> dict:
    return {"type": "message", "role": role, "content": list(content), **more}


def test_items_are_read_shown_and_kept_in_order(restless, talk, run):
    text = {"type": "input_text", "text": "hello there"}
    image = {"type": "input_image", "image_url": png(9)}

    async def story():
        async with talk(restless) as it:
            item = it.sdk.conversation.item
            added = lambda name: lambda e: e["item"]["id"] == name  # noqa: E731
            await item.create(item=message(text, image, id="first"))
            await it.until(DONE, like=added("first"))
            await item.create(item=message(text, id="second"), previous_item_id="root")
            second = await it.until("conversation.item.added", like=added("second"))
            assert second["previous_item_id"] is None
            await item.create(item=message(text, id="third"), previous_item_id="second")
            third = await it.until("conversation.item.added", like=added("third"))
            assert third["previous_item_id"] == "second"
            await item.create(item=message(text, role="system", id="fourth"))
            await it.until(DONE, like=added("fourth"))
            await item.retrieve(item_id="first")
            found = (await it.until("conversation.item.retrieved"))["item"]
            assert found["content"] == [text, {"type": "input_image"}]
            await item.delete(item_id="third")
            assert (await it.until("conversation.item.deleted"))["item_id"] == "third"
            await item.retrieve(item_id="third")
            assert (await it.until("error"))["error"]["param"] == "item_id"
            while not any(e["item"]["id"] == "fifth" for e in it.of(DONE)):
                after = len(it.got)  # refused until the model has looked at the first
                await item.create(item=message(image, id="fifth"))
                await it.until(DONE, "error", after=after)
                await asyncio.sleep(0.2)
            await it.sdk.input_audio_buffer.clear()
            await it.until("input_audio_buffer.cleared")
            after = len(it.got)
            await it.sdk.input_audio_buffer.commit()
            await it.until("input_audio_buffer.committed", after=after)

    run(story())


def test_a_function_is_called_and_its_output_read(restless, talk, run):
    """The model's delegation is a call of the function that the client has for it."""

    async def story():
        async with talk(restless) as it:
            await it.until("response.done")
            await it.sdk.session.update(
                session={"type": "realtime", "tools": [TOOL, TOOL | {"name": "other"}]}
            )
            updated = await it.until("session.updated")
            assert updated["session"]["tools"] == [TOOL, TOOL | {"name": "other"}]
            before = {e["type"] for e in it.got[: it.got.index(updated)]}
            assert "response.function_call_arguments.done" not in before
            call = await it.until("response.function_call_arguments.done")
            assert call["name"] == "delegate"
            assert list(json.loads(call["arguments"])) == ["heard", "directive"]
            holds = lambda e: e["response"]["id"] == call["response_id"]  # noqa: E731
            done = await it.until("response.done", like=holds)
            calls = [i for i in done["response"]["output"] if i["type"] == "function_call"]
            assert call["call_id"] in [i["call_id"] for i in calls]
            output = {"type": "function_call_output", "output": "it is thirteen"}
            create = it.sdk.conversation.item.create
            await create(item=output | {"call_id": "of-nobody"}, event_id="x")
            error = (await it.until("error"))["error"]
            assert error["param"] == "item.call_id" and error["event_id"] == "x"
            await create(item=output | {"call_id": call["call_id"], "id": "answer"})
            answer = lambda e: e["item"]["id"] == "answer"  # noqa: E731
            await it.until(DONE, like=answer)
            await it.sdk.session.update(
                session={"type": "realtime", "tool_choice": "none", "instructions": "short"}
            )
            shut = lambda e: e["session"]["tool_choice"] == "none"  # noqa: E731
            off = await it.until("session.updated", like=shut)
            assert off["session"]["instructions"] == "short"
            end = it.got.index(off)
            await it.until("response.done", after=end)
            await it.until("response.created", after=end)
            late = [e for e in it.got[end:] if "function_call" in e["type"]]
            assert not late

    run(story())


def test_beside_a_live_session(served, talk, run):
    async def live(turns: int) -> int:
        url = f"http://127.0.0.1:{served.port}/v1"
        sdk = openai.AsyncOpenAI(api_key=served.key, base_url=url)
        async with sdk.live.connect() as connection:
            await connection.session.start(session={"model": "nano"})
            came = 0
            async for event in connection:
                assert event.type != "error", event
                came += event.type == "session.output_audio.delta"
                if came == turns:
                    return came
        return came

    async def story():
        async with talk(served) as it:
            other = asyncio.create_task(live(10))
            await it.until(SAID)
            assert await asyncio.wait_for(other, 60) == 10
            await it.until(SAID, after=len(it.got))

    run(story())
