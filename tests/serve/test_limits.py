"""What a client may not do ends its own conversation, with the reason, and no other."""

from __future__ import annotations

import asyncio
import socket

import numpy as np
import pytest
import websockets

from interaction.serve import messages as m
from interaction.serve.client import Client
from interaction.serve.limits import Limits

SILENCE = np.zeros(3200, np.float32)
LATE = m.encode(m.Hear(0, bytes(m.BYTES)))


def client(server) -> Client:
    return Client(f"ws://127.0.0.1:{server.port}", server.key)


def connect(server, **options):
    headers = {"Authorization": f"Bearer {server.key}"}
    url = f"ws://127.0.0.1:{server.port}/v1/native"
    return websockets.connect(url, additional_headers=headers, **options)


async def end(talk: Client) -> str:
    async for _ in talk:
        pass
    return talk.why


@pytest.fixture
def beside(strict):
    """beside(what) runs it beside a conversation that goes on meanwhile."""

    async def both(what):
        async with client(strict) as talk:
            going = asyncio.create_task(keep_on(talk))
            await asyncio.wait_for(what(), 120)
            n = len(replies)
            while len(replies) < n + 3:
                assert not going.done()
                await asyncio.sleep(0.05)
            going.cancel()

    async def keep_on(talk):
        await talk.hear(SILENCE)
        async for reply in talk:
            replies.append(reply)
            await talk.hear(SILENCE)

    replies: list = []
    return lambda what: asyncio.run(both(what))


def test_who_says_or_reads_nothing_for_long_is_let_go(strict, beside):
    """Who does not read goes on speaking, with a small window: the server cannot send."""

    async def idle():
        async with client(strict) as talk:
            assert await end(talk) == "nothing came for 15 s"

    async def deaf():
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        small.connect(("127.0.0.1", strict.port))
        async with connect(strict, sock=small, ping_interval=None) as talk:
            await talk.send(m.encode(m.Start()))
            await talk.recv()
            talk.transport.pause_reading()
            while strict.figure("interaction_sessions") < 3:
                await asyncio.sleep(0.1)
            while strict.figure("interaction_sessions") > 1:
                await talk.send(LATE)
                await asyncio.sleep(0.2)
            talk.transport.abort()

    async def both():
        await asyncio.gather(idle(), deaf())

    beside(both)


def test_who_says_too_much_is_let_go(strict, beside):
    async def chatter():
        async with client(strict) as talk:
            for _ in range(1_000):
                await talk._socket.send(LATE)
            assert await end(talk) == "more than 100 messages a second"

    beside(chatter)


def test_who_makes_no_sense_for_long_is_let_go(strict, beside):
    async def babble():
        async with client(strict) as talk:
            for _ in range(2):
                for _ in range(60):
                    await talk._socket.send(b"\xc1")
                await asyncio.sleep(1.5)
            why = await end(talk)
            assert why.startswith("101 wrong messages; the last: ")
            assert len(talk.errors) == 100

    beside(babble)


def test_what_is_too_long_is_not_read(strict, beside):
    async def shout():
        async with connect(strict) as talk:
            await talk.send(m.encode(m.Start()))
            await talk.recv()
            await talk.send(bytes(Limits.message_bytes + 1))
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                while True:
                    await talk.recv()
            assert closed.value.rcvd.code == 1009

    beside(shout)


def test_a_long_error_is_cut(strict):
    async def ramble():
        async with connect(strict) as talk:
            await talk.send(m.encode({"type": "x" * 100_000}))
            error = m.to_client.decode(await talk.recv())
            assert isinstance(error, m.Error) and "xxx" in error.message
            assert len(error.message) < 1_000

    asyncio.run(ramble())


def test_who_connects_and_says_nothing_is_let_go(strict, beside):
    """Over WebSockets, of which there are no more than so many, and over TCP alone."""

    async def crowd():
        deaf = []
        for request in (b"", b"GET /healthz HTTP/1.1\r\nHost: half"):
            reader, writer = await asyncio.open_connection("127.0.0.1", strict.port)
            writer.write(request)
            deaf.append((reader, writer))
        silent = [await connect(strict) for _ in range(4 * strict.slots - 1)]
        with pytest.raises(websockets.InvalidStatus):
            await connect(strict)
        for each in silent:
            why = m.to_client.decode(await each.recv())
            assert why == m.Ended("nothing was said within 10 s")
            await each.close()
        async with connect(strict):
            pass
        for reader, writer in deaf:
            assert await reader.read() == b""
            writer.close()

    beside(crowd)
