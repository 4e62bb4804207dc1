"""A system behind Google's Gemini Live WebSocket, in real time.

    --agent=gemini_live --clock=realtime \\
        --agent_args=model=gemini-2.5-flash-native-audio-preview-12-2025

Written from the service's published reference (BidiGenerateContent, JSON), and tried
against a server that speaks those messages: it has not met the service itself. Sound goes
in at 16 kHz and comes back at 24 kHz, as fast as it is made; words are the service's own
transcription of it, whose order against the sound it does not promise. One of each pair of
pictures is sent. When the service says that the user has interrupted, what has not been
played is dropped. The key is that of the environment's GEMINI_API_KEY (key_env: another).
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from eval.agent import Heard
from eval.agents.live import taken
from eval.loudspeaker import Loudspeaker, pcm16
from eval.paced import Broken, Paced, chosen, key, missing, number
from eval.picture import jpeg
from eval.sample import Sample

URL = (
    "wss://generativelanguage.googleapis.com/ws/"
    "google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
)
RATE = 24_000


def _blob(data: bytes, kind: str) -> dict[str, str]:
    return {"data": base64.b64encode(data).decode(), "mimeType": kind}


class _Gemini:
    def __init__(self, socket: Any, speaker: Loudspeaker) -> None:
        self._socket, self._speaker = socket, speaker
        self._open: list[tuple[str, str]] = []  # tool and id of calls without a result

    async def hear(self, heard: Heard) -> None:
        if heard.results:
            answers = [
                {"id": taken(self._open, r), "name": r.call.name,
                 "response": {"result": r.text}}
                for r in heard.results
            ]  # fmt: skip
            await self._send({"toolResponse": {"functionResponses": answers}})
        if heard.frames is not None:
            await self._input(video=_blob(jpeg(heard.frames), "image/jpeg"))
        if heard.text:
            await self._input(text=heard.text)
        await self._input(audio=_blob(pcm16(heard.audio), "audio/pcm;rate=16000"))

    async def _input(self, **what: Any) -> None:
        await self._send({"realtimeInput": what})

    async def _send(self, message: Mapping[str, Any]) -> None:
        await self._socket.send(json.dumps(message))

    async def listen(self) -> None:
        async for data in self._socket:
            message = json.loads(data)
            if said := message.get("serverContent"):
                self._said(said)
            for call in message.get("toolCall", {}).get("functionCalls", []):
                self._open.append((call["name"], call["id"]))
                self._speaker.call(call["name"], call.get("args", {}))

    def _said(self, content: Mapping[str, Any]) -> None:
        if content.get("interrupted"):
            self._speaker.clear()
        for part in content.get("modelTurn", {}).get("parts", []):
            blob = part.get("inlineData", {})
            if blob.get("mimeType", "").startswith("audio/pcm"):
                self._speaker.play_pcm(base64.b64decode(blob["data"]))
        if words := content.get("outputTranscription", {}).get("text"):
            self._speaker.write(words)


def _setup(sample: Sample, model: str) -> dict[str, Any]:
    setup: dict[str, Any] = {
        "model": model if model.startswith("models/") else f"models/{model}",
        "generationConfig": {"responseModalities": ["AUDIO"]},
        "outputAudioTranscription": {},
    }
    if sample.instructions:
        setup["systemInstruction"] = {"parts": [{"text": sample.instructions}]}
    if sample.tools:
        declared = [
            {"name": tool.name, "description": tool.description,
             "parametersJsonSchema": dict(tool.parameters)}
            for tool in sample.tools
        ]  # fmt: skip
        setup["tools"] = [{"functionDeclarations": declared}]
    return {"setup": setup}


def open(arguments: Mapping[str, str]) -> Paced:
    try:
        from websockets.asyncio.client import connect as dial
    except ModuleNotFoundError as error:
        raise missing(error) from None

    asked = chosen(
        "gemini_live", arguments, url=URL, model="gemini-live-2.5-flash-preview",
        key_env="GEMINI_API_KEY", slots="1",
    )  # fmt: skip

    @contextlib.asynccontextmanager
    async def connect(sample: Sample) -> AsyncIterator[tuple[_Gemini, Loudspeaker]]:
        address = f"{asked['url']}?key={key(asked['key_env'])}"
        async with dial(address, max_size=None) as socket:
            await socket.send(json.dumps(_setup(sample, asked["model"])))
            first = json.loads(await socket.recv())
            if "setupComplete" not in first:
                raise Broken(f"no setupComplete but {', '.join(first)}")
            speaker = Loudspeaker(RATE)
            yield _Gemini(socket, speaker), speaker

    name = f"gemini_live(model={asked['model']})"
    return Paced(name, number("gemini_live", "slots", asked["slots"]), connect)
