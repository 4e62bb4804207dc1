"""Moshi's protocol, as its Python client speaks it: the same frames, by the same codec."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import numpy as np
import openai
import pytest
import soundfile
import soxr
import sphn
import websockets
from websockets.asyncio.client import connect

from interaction.package import ASSETS
from interaction.serve.client import Client
from interaction.serve.opus import OggEncoder

HELLO, AUDIO, TEXT, CONTROL, METADATA, ERROR, PING = range(7)
RATE, FRAME, TURN = 24_000, 1920, 4800  # of its client: samples a second, a frame, 200 ms


class Talker:
    """What `moshi.client` does with a socket, a microphone and a loudspeaker."""

    def __init__(self, socket) -> None:
        self.socket = socket
        self.writer, self.reader = sphn.OpusStreamWriter(RATE), sphn.OpusStreamReader(RATE)
        self.got: list[tuple[int, bytes]] = []
        self.sound: list[np.ndarray] = []  # one for every message of sound

    async def say(self, frame: np.ndarray) -> None:
        await self.socket.send(bytes([AUDIO]) + self.writer.append_pcm(frame))

    async def take(self) -> int:
        """A message's type."""
        data = await asyncio.wait_for(self.socket.recv(decode=False), 20)
        kind, payload = data[0], data[1:]
        self.got.append((kind, payload))
        if kind == AUDIO:
            self.sound.append(self.reader.append_bytes(payload))
        return kind

    async def hear(self, turns: int) -> None:
        while len(self.sound) < turns:
            await self.take()

    async def rest(self) -> int:
        """All until the server closes. -> how it closes."""
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await self.take()
        return self.socket.close_code

    def words(self, turns: int) -> str:
        """Of the first turns: those that come before the next one's sound."""
        sounds = np.cumsum([kind == AUDIO for kind, _ in self.got])
        texts = zip(self.got, sounds, strict=True)
        return b"".join(p for (k, p), n in texts if k == TEXT and n <= turns).decode()

    def told(self, kind: int) -> list[str]:
        return [payload.decode() for each, payload in self.got if each == kind]


@contextlib.asynccontextmanager
async def talk(served, query: str = "") -> AsyncIterator[Talker]:
    url = f"ws://127.0.0.1:{served.port}/api/chat?key={served.key}{query}"
    async with connect(url) as socket:
        yield Talker(socket)


async def silently(served, seed: int, turns: int) -> tuple[str, np.ndarray, list[bytes]]:
    """What is said to who says nothing: the words, the sound, all of it."""
    async with Client(
        f"ws://127.0.0.1:{served.port}", served.key, seed=seed, temperature=1.0
    ) as client:
        said = []
        async for each in client:
            said.append(each)
            if len(said) == turns:
                break
    whole = [each.message.text.encode() + each.message.audio for each in said]
    words = "".join(each.message.text for each in said)
    return words, np.concatenate([each.sound for each in said]), whole


def question(seconds: float) -> np.ndarray:
    wave, _ = soundfile.read(ASSETS / "nano" / "example.wav", dtype="float32")
    start = int(np.argmax(np.abs(wave) > 0.05))
    wave = soxr.resample(wave[start : start + round(16_000 * seconds)], 16_000, RATE)
    return wave[: len(wave) // FRAME * FRAME].reshape(-1, FRAME)


def test_sound_goes_both_ways_at_once(served):
    """A question in real time; words and sound come while it is still asked, and are not
    those of who asks nothing."""

    async def converse():
        ticks = served.figure("interaction_tick_seconds_count")
        async with talk(served, "&text_seed=7") as talker:
            assert await talker.take() == HELLO
            assert talker.got[0][1] == bytes(8)
            listening = asyncio.create_task(talker.rest())
            for frame in question(4.0):
                await talker.say(frame)
                await asyncio.sleep(FRAME / RATE)
            early, words = len(talker.sound), "".join(talker.told(TEXT))
            await talker.socket.close()
            await listening
        assert early >= 5 and words.strip()
        assert {kind for kind, _ in talker.got} == {HELLO, AUDIO, TEXT}
        assert {len(sound) for sound in talker.sound} == {TURN}
        assert any(sound.std() > 1e-3 for sound in talker.sound)
        ticks = served.figure("interaction_tick_seconds_count") - ticks
        assert early <= len(talker.sound) <= ticks
        unasked, *_ = await silently(served, 7, 12)
        assert talker.words(12) != unasked

    asyncio.run(converse())


def late(wave: np.ndarray, back: np.ndarray) -> tuple[int, float]:
    """-> by how many samples `back` is late, and how alike they are then."""
    most = 300
    here = wave[most:-most]
    shifts = [back[k : k + len(here)] for k in range(2 * most)]
    best = int(np.argmax([float(here @ shift) for shift in shifts]))
    return best - most, float(np.corrcoef(here, shifts[best])[0, 1])


def test_the_reply_is_that_of_other_clients_and_on_the_clock(served):
    """The native protocol's words, turn by turn, and its sound, 6.5 ms late; others to who
    writes something."""

    async def converse():
        same = "&text_seed=7&text_temperature=1"
        async with talk(served, same) as talker, talk(served, same) as writer:
            await writer.socket.send(bytes([TEXT]) + b"what is it")
            other = asyncio.create_task(silently(served, 7, 12))
            await talker.hear(13)
            await writer.hear(13)
            return talker, writer, *(await other)

    talker, writer, words, sound, _ = asyncio.run(converse())
    assert talker.words(12) == words != "" and writer.words(12) != words
    back = soxr.resample(np.concatenate(talker.sound[:12]), RATE, 16_000)
    samples, alike = late(sound, back)
    assert abs(samples - 104) <= 1 and alike > 0.5  # this model's voice is noise


def test_instructions_are_read_first(served):
    """As those of the Live protocol are."""

    async def converse():
        url = f"http://127.0.0.1:{served.port}/v1"
        client = openai.AsyncOpenAI(api_key=served.key, base_url=url)
        query = "&text_prompt=be%20brief&text_temperature=1"
        async with (
            talk(served, query) as talker,
            client.live.connect(extra_query={"seed": "0"}) as live,
        ):
            start = {"model": "nano", "instructions": "be brief"}
            await live.session.start(session=start)
            words, turns = "", 0
            while turns < 13:
                event = await asyncio.wait_for(live.recv(), 20)
                turns += event.type == "session.output_audio.delta"
                if event.type == "session.output_transcript.delta" and turns < 13:
                    words += event.delta
            await talker.hear(13)
            return talker.words(12), words

    moshi, live = asyncio.run(converse())
    assert moshi == live != ""


WEB = (  # what Moshi's page asks for
    "&email=a%40b.c&text_temperature=0.7&text_topk=25&audio_temperature=0.8&audio_topk=250"
    "&pad_mult=0&text_seed=123456&audio_seed=654321&repetition_penalty_context=64"
    "&repetition_penalty=1"
)


def test_max_steps_end_it(served):
    async def converse():
        async with talk(served, f"{WEB}&max_steps=6") as talker:
            assert await talker.rest() == 1000
            return talker

    talker = asyncio.run(converse())
    assert len(talker.sound) == 3  # 480 ms, in turns of 200
    assert talker.told(ERROR) == ["max_steps: 3 turns have been said"]


@pytest.mark.parametrize(
    "query",
    ["text_temperature=hot", "text_temperature=-1", "text_seed=1.5", "max_steps=0",
     "audio_temperature=nan", "pad_mult=x", "text_topk=-3"],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_refused_in_a_line(served, query):
    async def converse():
        async with talk(served, f"&{query}") as talker:
            await talker.rest()
            return talker

    talker = asyncio.run(converse())
    [said] = talker.told(ERROR)
    assert query.partition("=")[0] in said and "\n" not in said
    assert len(talker.got) == 1


def test_a_full_server_says_so(served):
    async def converse():
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(served.slots):
                talker = await stack.enter_async_context(talk(served))
                assert await talker.take() == HELLO
            late = await stack.enter_async_context(talk(served))
            await late.rest()
            return late.told(ERROR)

    [said] = asyncio.run(converse())
    assert f"all {served.slots} slots" in said


def test_what_is_wrong_is_told_and_the_talk_goes_on(served):
    """Beside somebody else, who gets what they would get alone."""
    noise = np.random.default_rng(0).standard_normal(3200).astype(np.float32)
    page = OggEncoder().push(0.1 * noise)
    wrong = [
        ("text", "text message"), (b"", "empty"), (b"\x01garbage", "no Ogg page"),
        (bytes([AUDIO]) + page[-300:], "no Ogg page"),
        (bytes([AUDIO]) + page[:60] + b"?" + page[61:], "damaged Ogg page"),
        (bytes([AUDIO]) + bytes(1 << 20), "65536 at most"),
        (bytes([TEXT]) + b"\xff", "no UTF-8"), (bytes([TEXT]) + b"a" * 5_000, "too much"),
    ]  # fmt: skip
    passed = [
        bytes([kind]) for kind in (HELLO, AUDIO, CONTROL, METADATA, ERROR, PING, 9, 255)
    ]
    passed += [bytes([TEXT]) + "héllo".encode()]

    async def converse():
        alone = await silently(served, 3, 12)
        other = asyncio.create_task(silently(served, 3, 12))
        async with talk(served) as talker:
            for data in passed:
                await talker.socket.send(data)
            for data, _ in wrong:
                await talker.socket.send(data)
            await talker.hear(3)
            for frame in question(0.4):
                await talker.say(frame)
            turns = len(talker.sound)
            await talker.hear(turns + 3)
        async with talk(served) as huge:
            await huge.socket.send(bytes([AUDIO]) + page[:200])
            await huge.hear(2)
            assert not huge.told(ERROR)  # the rest may come
            await huge.socket.send(bytes([AUDIO]) * (5 << 20))
            assert await huge.rest() == 1009
        assert (await other)[2] == alone[2]
        return talker.told(ERROR)

    told = asyncio.run(converse())
    assert len(told) == len(wrong)
    for said, (_, names) in zip(told, wrong, strict=True):
        assert names in said and "\n" not in said
