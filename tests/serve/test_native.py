"""The server in a process of its own, over a real socket: spoken to, broken, drained."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import subprocess
import sys
import time

import msgspec
import numpy as np
import pytest
import websockets
from PIL import Image

from interaction.serve import messages as m
from interaction.serve.call import MOST, Call
from interaction.serve.client import Client, Refused
from interaction.serve.line import Stream


def client(server, **options) -> Client:
    return Client(f"ws://127.0.0.1:{server.port}", **({"key": server.key} | options))


def sound(turn: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(turn).standard_normal(3200)).astype(np.float32)


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((48, 90, 3), 128, np.uint8)).save(file, "JPEG")
    return file.getvalue()


async def until(true, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not await asyncio.to_thread(true):
        assert time.monotonic() < end
        await asyncio.sleep(0.1)


async def take(talk: Client, n: int) -> list:
    said = []
    async for each in talk:
        said.append(each)
        if len(said) == n:
            break
    return said


def test_a_conversation(served):
    """Heard as it is sent; a reply every 200 ms, whether or not anything was sent."""

    async def converse():
        async with client(served, seed=1, temperature=1.0) as talk:
            for turn in range(3):
                await talk.hear(sound(turn), [jpeg(), jpeg()], "hello")
            said = await take(talk, 12)
            turns = [x.message.turn for x in said]
            assert turns == sorted(set(turns)) and turns[0] == 0
            assert all(x.sound.shape == (3200,) for x in said)
            missing = [x.message.missing_ms for x in said]
            assert missing[-1] >= 200.0 and 0.0 in missing
            early = {x.message.turn: x.message.early_ms for x in said}
            assert early[2] > 0 and early[said[-1].message.turn] == 0
            assert any(x.sound.any() for x in said)
            assert talk.errors == []

    asyncio.run(converse())
    assert served.get("/healthz") == (200, "ok\n")
    assert served.figure("interaction_tick_seconds_count") >= 12


def test_opus_carries_the_same_conversation(served):
    """Said to who says nothing: the same words, and the sound 7.5 ms later."""

    async def converse(**options):
        async with client(served, seed=5, temperature=1.0, **options) as talk:
            return await take(talk, 12)

    async def both():
        return await asyncio.gather(converse(), converse(sound="opus"), heard())

    async def heard():
        async with client(served, sound="opus") as talk:
            for turn in range(3):
                await talk.hear(sound(turn))
            said = await take(talk, 5)
            assert talk.errors == [] and said[-1].message.missing_ms == 200.0

    pcm, opus, _ = asyncio.run(both())
    assert [x.message.text for x in pcm] == [x.message.text for x in opus]
    assert all(len(x.message.audio) == 10 for x in opus)
    wave, back = (np.concatenate([x.sound for x in said]) for said in (pcm, opus))
    alike = [np.corrcoef(wave[:-300], back[k : k - 300])[0, 1] for k in range(300)]
    assert abs(int(np.argmax(alike)) - 120) <= 1 and max(alike) > 0.5


def test_wrong_messages_are_named_and_the_conversation_goes_on(served):
    wrong = [
        b"\xc1", b"", "text", msgspec.msgpack.encode({"type": "hear", "turn": "x"}),
        msgspec.msgpack.encode({"type": "hear", "turn": 1, "audio": b"short"}),
        msgspec.msgpack.encode({"type": "sing"}), m.encode(m.Start()),
        m.encode(m.Hear(0, bytes(m.BYTES), [b"no", b"picture"])),
    ]  # fmt: skip
    named = ["", "", "binary", "turn", "audio", "sing", "started", "pictures"]

    async def converse():
        async with client(served) as talk:
            for data in wrong:
                await talk._socket.send(data)
            said = await take(talk, 8)
            assert len(talk.errors) == len(wrong)
            for error, word in zip(talk.errors, named, strict=True):
                assert word in error
            assert len(said) == 8

    asyncio.run(converse())


def test_strangers_and_strange_pages_are_turned_away(served):
    async def knock():
        for options in ({"key": None}, {"key": "wrong"}):
            with pytest.raises(Refused, match="403"):
                async with client(served, **options):
                    pass
        url = f"ws://127.0.0.1:{served.port}/v1/native"
        headers = {"Authorization": f"Bearer {served.key}"}
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(url, additional_headers=headers, origin="https://evil")
        own = f"http://127.0.0.1:{served.port}"
        async with websockets.connect(f"{url}?key={served.key}", origin=own):
            pass

    asyncio.run(knock())
    status, why = served.get("/v1/native?key=wrong")
    assert status == 403 and "wrong key" in why
    assert served.get(f"/v1/native?key={served.key}")[0] == 426


def test_a_full_server_says_so(served):
    async def crowd():
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(served.slots):
                await stack.enter_async_context(client(served))
            with pytest.raises(Refused, match=f"all {served.slots} slots"):
                async with client(served):
                    pass
            status, why = await asyncio.to_thread(served.get, "/readyz")
            assert status == 503 and "slots are taken" in why
        await until(lambda: served.status("/readyz") == 200)

    asyncio.run(crowd())
    assert served.figure("interaction_refused_total") >= 1


def test_a_broken_connection_is_taken_up_again(served):
    """No time passes meanwhile: turns go on counting where they were."""

    async def converse():
        talk = client(served, seed=2)
        await talk.__aenter__()
        last = (await take(talk, 5))[-1].message.turn
        talk._socket.transport.abort()
        await until(lambda: served.figure("interaction_sessions_held") == 1)
        await asyncio.sleep(1.0)
        async with client(served, resume=talk.token, sound="opus") as again:
            await again.hear(sound(0))
            said = await take(again, 3)
            assert len(said[0].message.audio) == 10
            first = said[0].message.turn
            assert first > last
        with pytest.raises(Refused, match="no conversation waits"):
            async with client(served, resume=talk.token):
                pass

    asyncio.run(converse())
    assert served.figure("interaction_sessions_held") == 0


def test_who_reads_too_slowly_is_let_go():
    async def converse():
        call = Call(Stream())
        for _ in range(MOST + 1):
            call.given(None)
            await asyncio.sleep(0)
        with pytest.raises(BufferError, match="read faster"):
            call.given(None)

    asyncio.run(converse())


def test_sigterm_lets_conversations_end(serve):
    server = serve("--drain=60")

    async def converse():
        async with client(server) as talk:
            await take(talk, 2)
            server.process.send_signal(signal.SIGTERM)
            await until(lambda: server.status("/readyz") == 503)
            with pytest.raises(Refused, match="stopping"):
                async with client(server):
                    pass
            assert len(await take(talk, 5)) == 5

    asyncio.run(converse())
    assert server.process.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [(("--host=0.0.0.0",), "INTERACTION_KEY"), (("--checkpoint=none",), "no checkpoint")],
)
def test_bad_flags_are_one_line(flags, said):
    env = {k: v for k, v in os.environ.items() if k != "INTERACTION_KEY"}
    command = [sys.executable, "-m", "interaction.serve", *flags]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and said in errors[0]
