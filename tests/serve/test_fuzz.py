"""Ten thousand messages that make no sense, and worse, beside four who talk.

A protocol is one line of `FACES`.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import os
import random
import re
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec
import websockets

from interaction.serve import messages as m
from interaction.serve.limits import Limits

MESSAGES, BURST, AT_ONCE = 10_000, 80, 6
# Bytes that the server may have more, when it is quiet again, than after the first burst of
# each worker: twelve of the longest messages. It keeps what it frees, so how many were read
# at once shows.
GROWTH = 12 * Limits.message_bytes
SETTLED_S = 5.0

OVER = "nothing (came|was said)|slots are taken"  # why a connection may end before its time

Data = bytes | str

NATIVE = [
    {"type": "hear", "turn": 0, "audio": bytes(m.BYTES), "pictures": [b"x", b"x"]},
    {"type": "start", "seed": 1, "temperature": 0.5, "delay": 1, "consent": False},
    {"type": "resume", "token": "t", "fork": True, "consent": False}, {"type": "snapshot"},
]  # fmt: skip
FORMAT = {"type": "audio/pcm", "rate": 24_000}
LIVE = [
    {"type": "session.start", "session": {"model": "nano", "audio": {"format": FORMAT},
     "instructions": "be brief", "delegation": {"type": "client"}}, "event_id": "e"},
    {"type": "session.update", "session": {}}, {"type": "session.close", "event_id": "e"},
    {"type": "session.input_audio.append", "audio": "AAAA", "event_id": "e"},
    {"type": "session.thinking.append", "content": "13", "delegation_id": "d"},
    {"type": "session.commentary.append", "content": "13", "delegation_id": "d"},
    {"type": "session.instructions.append", "content": "slower"},
]  # fmt: skip


REALTIME = [
    {"type": "session.update", "session": {"type": "realtime", "instructions": "be brief",
     "audio": {"input": {"format": FORMAT}, "output": {"format": {**FORMAT}}}}},
    {"type": "input_audio_buffer.append", "audio": "AAAA", "event_id": "e"},
    {"type": "input_audio_buffer.commit", "event_id": "e"}, {"type": "response.create"},
    {"type": "conversation.item.create", "item": {"type": "message", "role": "user",
     "content": [{"type": "input_text", "text": "hi"}], "id": "i"}},
    {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0,
     "audio_end_ms": 5}, {"type": "response.cancel", "response_id": "r"},
]  # fmt: skip

OTHERS: dict[type, list[Any]] = {  # values that are wrong where one of a type belongs
    str: [5, -1.5, [1], True, 1 << 63, {"a": [{}]}], int: ["x", [1], {"a": 1}, 1.5],
    float: ["x", [1], {}, True], bool: [5, "x", [], {}], bytes: [5, "x", b"x", [b"x"], {}],
    list: [5, "x", {"a": 1}, [1], [[]] * 9], dict: [5, "x", [1], False],
}  # fmt: skip


class Wrong(NamedTuple):
    """A message, and what its error has to say: the field that is wrong, if one is, and
    some words."""

    data: Data
    field: str | None = None
    words: str = ""


class Answer(NamedTuple):
    """An error's words, and the field that it names."""

    text: str
    field: str | None


def spoil(right: list[dict], write: Callable[[Any], Data], rng: random.Random) -> Wrong:
    """A message that is wrong for certain."""
    message = copy.deepcopy(rng.choice(right))
    whole = write(message)
    kind = rng.random()
    if kind < 0.7:  # a field
        at, key = message, rng.choice([*message])
        path = [key]
        while isinstance(at[key], dict) and at[key] and rng.random() < 0.8:
            at, key = at[key], rng.choice([*at[key]])
            path.append(key)
        if key == "type" and at is message and rng.random() < 0.5:
            del at[key]
        else:
            at[key] = rng.choice(OTHERS[type(at[key])])
        return Wrong(write(message), ".".join(path))
    if kind < 0.8:  # cut short
        return Wrong(whole[: rng.randrange(len(whole))])
    if kind < 0.88:  # noise, alone or after a message
        noise = rng.randbytes(rng.randint(1, 300))
        if isinstance(whole, bytes):
            return Wrong(rng.choice([noise, b"\x81\xa1a" * 2_000, whole + noise]))
        return Wrong(rng.choice([noise.hex() + "}", '{"a":' * 5_000, whole + "["]))
    if kind < 0.96:  # of the other kind
        noise = rng.randbytes(20)
        return Wrong(noise.hex() if isinstance(whole, bytes) else noise)
    return Wrong(whole[:0])


def _plain(path: str | None) -> str | None:
    """Without what is wrong in a list."""
    return path and path.partition("[")[0]


def _native_error(data: Data) -> Answer | None:
    """Its words name the field: `$.field`, or the one that is missing."""
    told = m.to_client.decode(data)
    if not isinstance(told, m.Error):
        return None
    at = re.search(r"`\$\.([^`]+)`|missing required field `(\w+)`", told.message)
    return Answer(told.message, _plain(at and (at[1] or at[2])))


def _json_error(data: Data) -> Answer | None:
    """The field is the error's own `param`."""
    told = json.loads(data)
    if told["type"] != "error":
        return None
    return Answer(told["error"]["message"], _plain(told["error"].get("param")))


def _moshi_wrong(rng: random.Random) -> Wrong:
    noise = rng.randbytes(rng.randint(20, 300))
    data, words = rng.choice([
        (noise.hex(), "text message"), (b"", "empty"), (b"\x01" + noise, "no Ogg page"),
        (b"\x02\xff" + noise, "UTF-8"), (b"\x02" + b"a" * 5_000, "text: too much"),
        (b"\x01" + bytes(70_000), "65536 at most"),
    ])  # fmt: skip
    return Wrong(data, words=words)


def _moshi_error(data: Data) -> Answer | None:
    return Answer(data[1:].decode(), None) if data[0] == 5 else None


class Face(NamedTuple):
    """A protocol from outside. error: of a message that is one, else None; opening: a
    message that begins a conversation, where none begins by itself."""

    path: str
    wrong: Callable[[random.Random], Wrong]
    error: Callable[[Data], Answer | None]
    opening: Data = b""


pack = msgspec.msgpack.encode
FACES = [
    Face("/v1/native", partial(spoil, NATIVE, pack), _native_error, pack(NATIVE[1])),
    Face("/v1/live/sessions", partial(spoil, LIVE, json.dumps), _json_error,
         json.dumps(LIVE[0])),
    Face("/v1/realtime", partial(spoil, REALTIME, json.dumps), _json_error),
    Face("/api/chat", _moshi_wrong, _moshi_error),
]  # fmt: skip


async def burst(server, face: Face, seed: int) -> int:
    """Wrong messages on one connection, in a conversation if there is a slot, and an answer
    to each. -> how many."""
    rng = random.Random(seed)
    wrong = [face.wrong(rng) for _ in range(BURST)]
    answered, told = 0, [b""]
    async with await knock(server, face.path) as talk:

        async def answer() -> Answer:
            while True:
                told.append(await asyncio.wait_for(talk.recv(), 60))
                if (error := face.error(told[-1])) is not None:
                    return error

        with contextlib.suppress(websockets.ConnectionClosed):
            if face.opening and rng.random() < 0.3:
                await talk.send(face.opening)
            for each in wrong:
                await talk.send(each.data)
        try:
            for each in wrong:
                error = await answer()
                if re.search(OVER, error.text):
                    break
                said = (each.data[:200], each.field, error)
                assert error.text and each.words in error.text, said
                assert each.field is None or each.field == error.field, said
                answered += 1
        except websockets.ConnectionClosed:
            assert re.search(OVER, repr(told[-2:])), told[-2:]
        if rng.random() < 0.5:
            talk.transport.abort()
    return answered


async def knock(server, path: str, **options) -> websockets.ClientConnection:
    """Connected, when others have made room."""
    headers = {"Authorization": f"Bearer {server.key}"}
    url = f"ws://127.0.0.1:{server.port}{path}"
    while True:
        with contextlib.suppress(websockets.InvalidStatus, OSError):
            return await websockets.connect(url, additional_headers=headers, **options)
        await asyncio.sleep(0.2)


async def huge(server, face: Face) -> None:
    """A message longer than any may be, until it has led to the end."""
    async with await knock(server, face.path) as talk:
        with contextlib.suppress(websockets.ConnectionClosed):
            await talk.send(bytes(Limits.message_bytes + 1))
            while True:
                await asyncio.wait_for(talk.recv(), 60)


async def rudeness(server, face: Face, seed: int) -> None:
    """What no message is: huge, half, cut off, or no WebSocket at all."""
    rng = random.Random(seed)
    await huge(server, face)
    for opening in (face.opening, b""):
        half = await knock(server, face.path)
        if opening:
            await half.send(opening)
        half.transport.write(bytes([0x02, 0xFE, 0x10, 0x00]) + rng.randbytes(50))
        await asyncio.sleep(0.05)
        half.transport.abort()
    tcp = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(30)]
    for _, writer in tcp[10:]:
        writer.write(rng.choice([b"GET / HTTP/1.1\r\n", rng.randbytes(99), b"\r\n\r\n"]))
    await asyncio.gather(*[asyncio.wait_for(reader.read(), 60) for reader, _ in tcp])
    for _, writer in tcp:
        writer.close()


async def deaf(server, face: Face) -> websockets.ClientConnection:
    """Begins a conversation and reads no more."""
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.connect(("127.0.0.1", server.port))
    talk = await knock(server, face.path, sock=small, ping_interval=None)
    await talk.send(face.opening)
    talk.transport.pause_reading()
    return talk


def rss(server) -> int:
    text = open(f"/proc/{server.process.pid}/status").read()
    return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", text)[1])


def files(server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def test_nonsense_beside_four_who_talk(strict, person, alone):
    async def flood(first: int, last: int) -> None:
        todo = iter(range(first, last))

        async def work() -> None:
            for seed in todo:
                face = FACES[seed % len(FACES)]
                done = 0
                while done < BURST:
                    done += (n := await burst(strict, face, seed))
                    seed += 1_000_000
                    await asyncio.sleep(0 if n else 0.2)

        deafs = [await deaf(strict, FACES[0])]
        tasks = [work() for _ in range(AT_ONCE)]
        await asyncio.gather(*tasks, *[rudeness(strict, face, first) for face in FACES])
        for talk in deafs:
            talk.transport.abort()

    async def everybody():
        await asyncio.gather(*[huge(strict, face) for face in FACES])
        for each in talks:
            await each.__aenter__()
        before = files(strict)
        flooded = asyncio.Event()
        speaking = [asyncio.create_task(on(each, flooded)) for each in talks]
        while min(len(each.said) for each in talks) < 5:
            await asyncio.sleep(0.1)
        n = -(-MESSAGES // BURST)
        await flood(0, AT_ONCE)  # every way once: what that takes, it keeps
        memory = rss(strict)
        await flood(AT_ONCE, n // 3)
        replies = [len(each.said) for each in talks]
        await flood(n // 3, n)
        flooded.set()
        await asyncio.gather(*speaking)
        assert all(len(e.said) > n for e, n in zip(talks, replies, strict=True))
        await asyncio.sleep(SETTLED_S)
        assert rss(strict) - memory < GROWTH
        while files(strict) > before:
            await asyncio.sleep(0.5)

    async def on(talk, flooded: asyncio.Event) -> None:
        while not flooded.is_set():
            await talk.converse(5)
        await talk.converse(5)

    talks = [person(strict, seed) for seed in range(4)]
    asyncio.run(asyncio.wait_for(everybody(), 300))
    assert strict.process.poll() is None and "Traceback" not in strict.said()
    for talk in talks:
        assert sum(n is not None for n in talk.heard) > len(talk.heard) // 2
        assert talk.bits == alone(talk)
    assert strict.figure("interaction_messages_wrong_total") >= MESSAGES
