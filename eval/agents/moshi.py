"""A system behind Moshi's WebSocket, in real time: Moshi, PersonaPlex, or this project's.

    --agent=moshi --clock=realtime --agent_args=url=ws://127.0.0.1:8998/api/chat

Messages are bytes: a type, then a payload. Sound is one Ogg stream of Opus each way, at
24 kHz; words come as text. Instructions go in the address, as `text_prompt`. There are no
tools and no pictures. key_env names the environment's variable with a key, which goes in
the address too; voice_prompt is PersonaPlex's.
"""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import AsyncIterator, Mapping
from typing import Any

import numpy as np

from eval.agent import Heard
from eval.loudspeaker import Loudspeaker, Rate
from eval.paced import Broken, Paced, chosen, key, missing, number
from eval.sample import Sample
from interaction.modality.audio import SAMPLE_RATE

HELLO, AUDIO, TEXT, ERROR = 0, 1, 2, 5
RATE = 24_000
PACKET = 960  # samples: 40 ms, as its own clients send; a turn is five


class _Moshi:
    def __init__(self, socket: Any, codec: Any, speaker: Loudspeaker) -> None:
        self._socket, self._speaker = socket, speaker
        self._writer = codec.OpusStreamWriter(RATE)
        self._reader = codec.OpusStreamReader(RATE)
        self._to_theirs = Rate(SAMPLE_RATE, RATE)
        self._rest = np.zeros(0, np.float32)  # less than a packet

    async def hear(self, heard: Heard) -> None:
        wave = np.concatenate([self._rest, self._to_theirs.push(heard.audio)])
        whole = len(wave) // PACKET * PACKET
        wave, self._rest = wave[:whole], wave[whole:]
        data = b"".join(self._writer.append_pcm(p) for p in wave.reshape(-1, PACKET))
        if data:
            await self._socket.send(bytes([AUDIO]) + data)

    async def listen(self) -> None:
        async for data in self._socket:
            match data[0], data[1:]:
                case kind, sound if kind == AUDIO:
                    wave = self._reader.append_bytes(sound)
                    if len(wave):
                        self._speaker.play(wave)
                case kind, text if kind == TEXT:
                    self._speaker.write(text.decode(errors="replace"))
                case kind, why if kind == ERROR:
                    raise Broken(why.decode(errors="replace"))


def open(arguments: Mapping[str, str]) -> Paced:
    try:
        import sphn
        from websockets.asyncio.client import connect as dial
    except ModuleNotFoundError as error:
        raise missing(error) from None

    asked = chosen(
        "moshi", arguments, url="ws://127.0.0.1:8998/api/chat", key_env="",
        voice_prompt="", slots="1",
    )  # fmt: skip

    @contextlib.asynccontextmanager
    async def connect(sample: Sample) -> AsyncIterator[tuple[_Moshi, Loudspeaker]]:
        query = {"text_prompt": sample.instructions, "voice_prompt": asked["voice_prompt"]}
        if asked["key_env"]:
            query["key"] = key(asked["key_env"])
        query = {name: value for name, value in query.items() if value}
        address = f"{asked['url']}?{urllib.parse.urlencode(query)}"
        async with dial(address, max_size=None) as socket:
            first = await socket.recv(decode=False)
            if not first or first[0] != HELLO:
                raise Broken(first[1:].decode(errors="replace") or "no greeting")
            speaker = Loudspeaker(RATE)
            yield _Moshi(socket, sphn, speaker), speaker

    name = f"moshi(url={asked['url']})"
    return Paced(name, number("moshi", "slots", asked["slots"]), connect)
