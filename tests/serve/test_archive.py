"""Recordings: with consent alone, as it was heard and said, and gone when it is asked."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import stat
import time

import numpy as np
import openai
import pytest
import soundfile
import websockets

from interaction.serve import messages as m
from interaction.serve.archive import TOKEN
from interaction.serve.client import Client
from interaction.serve.opus import OggEncoder

RATE = 16_000


def client(server, **options) -> Client:
    return Client(f"ws://127.0.0.1:{server.port}", server.key, **options)


def sound(turn: int) -> np.ndarray:
    rng = np.random.default_rng([77, turn])
    return (rng.integers(-3000, 3000, 3200) / 32768).astype(np.float32)


async def whole(path, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not path.is_dir():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


def delete(server, name: str, token: str, key: str | None = None) -> int:
    headers = {TOKEN: token, "Authorization": f"Bearer {key or server.key}"}
    return server.get(f"/v1/recordings/{name}", "DELETE", **headers)[0]


def test_a_recording_holds_what_was_heard_and_said(strict, person):
    talk = person(strict, 3, consent=True)

    async def converse():
        async with talk:
            await talk.converse(12)
            await talk.client.hear(talk.sound(0), text="read this", turn=0)  # too late
            await talk.converse(12)
        await whole(strict.records / talk.client.recording)

    asyncio.run(converse())
    place, said = strict.records / talk.client.recording, talk.said
    both, rate = soundfile.read(place / "sound.flac", dtype="int16")
    assert rate == RATE and both.shape[1] == 2
    first = said[0].turn
    heard = {k: bytes(6400) for k in range(first, said[-1].turn + 1)}
    for reply, number in zip(said, talk.heard, strict=True):
        if number is not None:
            heard[reply.turn] = (talk.sound(number) * 32768).astype("<i2").tobytes()
        at = (reply.turn - first + 1) * 3200  # it plays in the next turn
        assert both[at : at + 3200, 1].tobytes() == reply.audio
    assert any(map(any, heard.values()))
    for turn, pcm in heard.items():
        at = (turn - first) * 3200
        assert both[at : at + 3200, 0].tobytes() == pcm
    events = [json.loads(line) for line in (place / "events.jsonl").open()]
    typed = {"lane": "user", "kind": "text", "text": "read this"}
    assert [e.pop("t_s") for e in events if e.items() >= typed.items()]
    events = [e for e in events if e != typed]
    told = [event for reply in said for event in reply.events]
    for event, found in zip(told, events, strict=False):
        assert found.pop("t_s") == pytest.approx(event.t_s - 0.2 * first)
        assert found == {"lane": event.lane, "kind": event.kind, "text": event.text}
    assert len(events) >= len(told) > 10
    about = json.loads((place / "about.json").read_text())
    assert about["consent"] is True and about["protocol"] == "native"
    assert about["seconds"] == len(both) / RATE >= 25 * 0.2
    assert talk.client.token not in json.dumps(about)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_without_consent_nothing_is_stored_and_all_else_is_the_same(strict):
    async def converse():
        async with client(strict) as talk:
            assert talk.recording is None
            await talk.hear(sound(0))
            async for reply in talk:
                if reply.message.turn >= 4:
                    return

    before = sorted(strict.records.iterdir())
    asyncio.run(converse())
    assert sorted(strict.records.iterdir()) == before


def test_a_server_that_does_not_record_writes_nothing(served, strict):
    """Whatever a client consents to: no file is open for writing while it talks."""
    assert json.loads(strict.get("/v1/recordings")[1])["records"] is True
    assert json.loads(served.get("/v1/recordings")[1])["records"] is False

    def writes(server) -> list[str]:
        found = []
        for fd in os.listdir(proc := f"/proc/{server.process.pid}/fd"):
            try:
                flags = open(f"/proc/{server.process.pid}/fdinfo/{fd}").read()
                path = os.readlink(f"{proc}/{fd}")
                regular = stat.S_ISREG(os.stat(f"{proc}/{fd}").st_mode)
            except FileNotFoundError:
                continue
            mode = int(flags.split("flags:")[1].split()[0], 8) & os.O_ACCMODE
            if regular and mode != os.O_RDONLY and int(fd) > 2:
                found.append(os.path.basename(path))
        return sorted(found)

    async def converse(server):
        async with client(server, consent=True) as talk:
            await talk.hear(sound(0))
            async for reply in talk:
                if reply.message.turn >= 4:
                    return talk.recording, writes(server)

    name, files = asyncio.run(converse(strict))
    assert name and files == ["events.jsonl", "sound.flac"]
    assert asyncio.run(converse(served)) == (None, [])


def test_live_clients_consent_in_the_address(strict):
    async def converse(query) -> str | None:
        url = f"http://127.0.0.1:{strict.port}/v1"
        sdk = openai.AsyncOpenAI(api_key=strict.key, base_url=url)
        async with sdk.live.connect(extra_query=query) as connection:
            await connection.session.start(session={"model": "nano"})
            started = await connection.recv()
            turns, told = 0, None
            async for event in connection:
                if event.type == "info" and event.code == "recording":
                    told = event.message.split()[2].rstrip(",")
                turns += event.type == "session.output_audio.delta"
                if turns == 3:
                    break
            await connection.session.close()
        if told:
            await whole(strict.records / told)
            assert delete(strict, told, "no token") == 403
            assert delete(strict, told, started.session.id) == 204
            assert not (strict.records / told).exists()
        return told

    assert asyncio.run(converse({})) is None
    assert asyncio.run(converse({"consent": "true"}))


async def realtime(server, query) -> tuple[str, str] | None:
    """Some turns of it. -> its recording's name and token, if it is told any."""
    sdk = openai.AsyncOpenAI(
        api_key=server.key, base_url=f"http://127.0.0.1:{server.port}/v1"
    )
    async with sdk.realtime.connect(model="nano", extra_query=query) as connection:
        session = (await connection.recv()).session
        loud = np.resize(sound(1), 12_000) * 32768
        data = base64.b64encode(loud.astype("<i2").tobytes()).decode()
        await connection.input_audio_buffer.append(audio=data)
        ticks = server.figure("interaction_tick_seconds_count")
        while server.figure("interaction_tick_seconds_count") < ticks + 4:
            await asyncio.sleep(0.1)
    name = getattr(session, "recording", None)
    return (name, session.id) if name else None


async def moshi(server, query) -> tuple[str, str] | None:
    asked = "".join(f"&{name}={value}" for name, value in query.items())
    url = f"ws://127.0.0.1:{server.port}/api/chat?key={server.key}{asked}"
    told, sounds = None, 0
    async with websockets.connect(url) as socket:
        await socket.send(b"\x01" + OggEncoder().push(np.resize(sound(1), 9_600)))
        while sounds < 4:
            kind, *payload = await asyncio.wait_for(socket.recv(decode=False), 20)
            sounds += kind == 1
            if kind == 4:
                about = json.loads(bytes(payload))
                told = about["recording"], about["token"]
    return told


@pytest.mark.parametrize("talk", [realtime, moshi])
def test_clients_of_others_protocols_consent_in_the_address_too(strict, talk):
    """It is whole when they leave, and gone when they say so."""

    async def converse():
        name, token = await talk(strict, {"consent": "true"})
        await whole(strict.records / name)
        return name, token

    before = sorted(strict.records.iterdir())
    assert asyncio.run(talk(strict, {})) is None
    strict.emptied()
    assert sorted(strict.records.iterdir()) == before
    name, token = asyncio.run(converse())
    place = strict.records / name
    about = json.loads((place / "about.json").read_text())
    assert about["protocol"] == talk.__name__ and about["seconds"] >= 3 * 0.2
    both, _ = soundfile.read(place / "sound.flac", dtype="int16")
    assert len(both) == about["seconds"] * RATE and both[:, 0].any()
    assert (place / "events.jsonl").exists()
    assert delete(strict, name, "no token") == 403
    assert delete(strict, name, token) == 204 and not place.exists()


@pytest.mark.parametrize("running", [True, False])
def test_a_recording_is_deleted_by_its_conversation_alone(strict, running):
    """Again, too; while it is made, and when it is whole. The conversation goes on."""

    async def converse():
        async with client(strict, consent=True) as talk:
            for turn in range(2):
                await talk.hear(sound(turn))
            turns = 0
            async for _ in talk:
                turns += 1
                if turns == 3 and running:
                    await forget(talk)
                if turns == 6:
                    break
        if not running:
            await whole(strict.records / talk.recording)
            await forget(talk)

    async def forget(talk):
        name = talk.recording
        for token, want, key in (
            ("wrong", 403, None), ("", 403, None), (talk.token, 403, "no key"),
            (talk.token, 204, None), (talk.token, 204, None),
        ):  # fmt: skip
            assert await asyncio.to_thread(delete, strict, name, token, key) == want
        assert not [path for path in strict.records.iterdir() if name in path.name]

    asyncio.run(converse())


@pytest.mark.parametrize("name", ["nothing", "..", "%2e%2e", "..%2f..", ".", "a%00b"])
def test_what_is_no_recording_is_nothing_to_delete(strict, name):
    before = sorted(strict.records.iterdir())
    assert delete(strict, name, "token") in (204, 404, 405)
    assert sorted(strict.records.iterdir()) == before


def test_who_breaks_off_at_once_leaves_no_recording(strict):
    async def knock():
        url = f"ws://127.0.0.1:{strict.port}/v1/native"
        headers = {"Authorization": f"Bearer {strict.key}"}
        for _ in range(3):
            socket = await websockets.connect(url, additional_headers=headers)
            await socket.send(m.encode(m.Start(consent=True)))
            socket.transport.abort()

    asyncio.run(knock())
    strict.emptied()
    assert not [path for path in strict.records.iterdir() if path.suffix == ".partial"]
