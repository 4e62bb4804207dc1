"""OpenAI's official client of Realtime, unpatched: every event is checked as it comes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections import defaultdict

import jax.numpy as jnp
import numpy as np
import openai
import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from interaction.grammar import Kind

by_sdk = TypeAdapter(RealtimeServerEvent)


@pytest.fixture(scope="session")
def restless(shared, packed, tiny, tiny_params):
    """A server of the tiny model, but it falls silent, yields, breaks off and delegates
    every few turns (the rows of those tokens are longer), and hears words now and then (one
    feature alone decides which)."""
    rows = tiny_params["unembed_controls"]
    for kind, much in (
        (Kind.DELEGATE, 20), (Kind.CLEAR, -10), (Kind.BREAK, 10), (Kind.SILENT, 6),
        (Kind.SPEAK, 6),
    ):  # fmt: skip
        rows = rows.at[kind].multiply(much)
    norm = jnp.zeros_like(tiny_params["heard_norm"]).at[3].set(30.0)
    changed = {"unembed_controls": rows, "heard_norm": norm}
    return shared("--temperature=1", model=packed(tiny, tiny_params | changed))


class Talk:
    """A connection; every event that came was checked against the SDK's own types, and told
    a story that makes sense. Sound goes in all the while."""

    def __init__(self, server, rate: int = 24_000) -> None:
        base = f"127.0.0.1:{server.port}/v1"
        self._sdk = openai.AsyncOpenAI(
            api_key=server.key, base_url=f"http://{base}", websocket_base_url=f"ws://{base}"
        )
        self.rate = rate
        self.got: list[dict] = []
        self.came = asyncio.Condition()
        self.sent = 0

    async def __aenter__(self) -> Talk:
        self._manager = self._sdk.realtime.connect(model="nano")
        self.sdk = await self._manager.__aenter__()
        self._tasks = [
            asyncio.create_task(self._listen()),
            asyncio.create_task(self._talk()),
        ]
        await self.until("conversation.created")
        return self

    async def __aexit__(self, *why) -> None:
        self._tasks[1].cancel()
        await self._manager.__aexit__(*why)
        await self._tasks[0]
        if why == (None, None, None):
            check_story(self.got)

    async def _listen(self) -> None:
        with contextlib.suppress(Exception):
            while True:
                event = json.loads(await self.sdk.recv_bytes())
                async with self.came:
                    self.got.append(event | {"sent": self.sent})
                    self.came.notify_all()

    async def _talk(self) -> None:
        rng = np.random.default_rng(0)
        n = self.rate // 25
        width = 1 if self.rate == 8_000 else 2
        with contextlib.suppress(Exception):
            while True:
                part = rng.integers(0, 256, n) if width == 1 else rng.normal(0, 3e3, n)
                data = part.astype("u1" if width == 1 else "<i2").tobytes()
                audio = base64.b64encode(data).decode()
                await self.sdk.input_audio_buffer.append(audio=audio)
                self.sent += 1
                await asyncio.sleep(0.04)

    async def until(self, *kinds: str, after: int = 0, like=lambda event: True) -> dict:
        """The first such event, of those behind `after`."""
        find = lambda: [e for e in self.got[after:] if e["type"] in kinds and like(e)]  # noqa: E731
        async with self.came:
            await asyncio.wait_for(self.came.wait_for(find), 60)
        return find()[0]

    def of(self, kind: str, after: int = 0) -> list[dict]:
        """All such events, of those behind `after`."""
        return [event for event in self.got[after:] if event["type"] == kind]


def check_story(got: list[dict]) -> None:
    """Events are whole, and in an order in which each is told of what is known."""
    assert got[0]["type"] == "session.created"
    items, responses, names = {}, {}, set()
    for event in got:
        by_sdk.validate_python({k: v for k, v in event.items() if k != "sent"})
        names.add(event["event_id"])
        kind = event["type"]
        if kind == "conversation.item.added":
            before, item = event["previous_item_id"], event["item"]
            assert before is None or before in items
            assert item["id"] not in items
            items[item["id"]] = item["status"]
        elif kind == "conversation.item.done":
            assert event["item"]["id"] in items
            assert event["item"]["status"] != "in_progress"
        elif kind == "response.created":
            assert not any(r["status"] == "in_progress" for r in responses.values())
            responses[event["response"]["id"]] = event["response"] | {
                "items": [], "words": defaultdict(str), "parts": set(),
            }  # fmt: skip
        elif kind.startswith("response."):
            of = event.get("response_id") or event["response"]["id"]
            _check_response(event, responses[of])
    assert len(names) == len(got)


def _check_response(event: dict, response: dict) -> None:
    assert response["status"] == "in_progress"
    kind, index = event["type"], event.get("output_index")
    if kind == "response.output_item.added":
        assert index == len(response["items"])
        response["items"].append(event["item"])
    elif kind == "response.content_part.added":
        response["parts"].add(index)
    elif kind == "response.output_item.done":
        response["items"][index] = event["item"]
        for part in event["item"].get("content", []):
            assert part.get("transcript", part.get("text")) == response["words"][index]
    elif kind == "response.done":
        response["status"] = event["response"]["status"]
        assert response["status"] in ("completed", "cancelled", "incomplete", "failed")
        assert event["response"]["output"] == response["items"]
        assert all(item["status"] != "in_progress" for item in response["items"])
    elif kind.startswith("response.function_call_arguments"):
        assert event["item_id"] == response["items"][index]["id"]
    else:
        assert event["item_id"] == response["items"][index]["id"]
        assert index in response["parts"]
        if kind.endswith(("transcript.delta", "text.delta")):
            response["words"][index] += event["delta"]


@pytest.fixture(scope="session")
def talk():
    """talk(server) -> one that is connected in `async with`."""
    return Talk


@pytest.fixture(scope="session")
def run():
    """run(a test's coroutine)."""
    return lambda story: asyncio.run(asyncio.wait_for(story, 120))
