"""Services of others as their references describe them, in small: for agents to talk to.

    python services.py PORT

Gemini Live at /gemini, OpenAI's Live and Realtime below /v1. All do the same: when somebody
has spoken and is silent for a message, they say "one two three", 0.6 s each and all
at once; where a tool is declared they call it first, and say what it answered. Who speaks
while they do interrupts them. Told to "break off", they do, when spoken to. Messages that
the references do not have end the conversation.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time

import numpy as np
from websockets.asyncio.server import serve

RATE = 24_000
WORD_S = 0.6
TONE = (8_000 * np.sin(np.arange(int(WORD_S * RATE)) * 0.1)).astype("<i2").tobytes()
SOUND = base64.b64encode(TONE).decode()
ARGUMENTS = {"city": "Oslo"}


class Service:
    def __init__(self, socket) -> None:
        self.socket, self.tool, self.breaks = socket, None, False
        self.until, self.spoken, self.owed = 0.0, False, False

    async def run(self) -> None:
        try:
            await self.begin()
            async for data in self.socket:
                await self.take(json.loads(data))
        except (KeyError, AssertionError) as error:
            await self.socket.close(1007, f"not in the reference: {error!r}"[:100])

    async def read(self) -> dict:
        return json.loads(await self.socket.recv())

    async def send(self, **message) -> None:
        await self.socket.send(json.dumps(message))

    def means(self, instructions: str) -> None:
        self.breaks = "break off" in instructions

    async def heard(self, sound: str, rate: int) -> None:
        wave = np.frombuffer(base64.b64decode(sound), "<i2")
        assert 0.15 * rate < len(wave) < 0.25 * rate, "not a turn"
        if np.abs(wave).max() > 3_000:
            if time.monotonic() < self.until:
                self.until = 0.0
                await self.interrupted()
            self.spoken = True
        elif self.spoken:
            assert not self.owed, "not told how much was heard"
            self.spoken = False
            if self.breaks:
                await self.socket.close(1011, "told to")
            elif self.tool:
                await self.call()
            else:
                await self.speak("one two three")

    async def speak(self, text: str) -> None:
        self.until = time.monotonic() + WORD_S * len(text.split())
        await self.say(text.split())


class Gemini(Service):
    async def begin(self) -> None:
        setup = (await self.read())["setup"]
        assert setup["model"].startswith("models/")
        assert setup["generationConfig"]["responseModalities"] == ["AUDIO"]
        if "systemInstruction" in setup:
            self.means(setup["systemInstruction"]["parts"][0]["text"])
        for tools in setup.get("tools", []):
            [tool] = tools["functionDeclarations"]
            assert {"name", "description", "parametersJsonSchema"} == tool.keys()
            self.tool = tool["name"]
        await self.send(setupComplete={})

    async def take(self, message) -> None:
        [(kind, what)] = message.items()
        if kind == "toolResponse":
            [answer] = what["functionResponses"]
            assert (answer["id"], answer["name"]) == ("call-1", self.tool)
            await self.speak(answer["response"]["result"])
        else:
            audio = {"realtimeInput": what}[kind]["audio"]
            assert audio["mimeType"] == "audio/pcm;rate=16000"
            await self.heard(audio["data"], 16_000)

    async def call(self) -> None:
        call = {"id": "call-1", "name": self.tool, "args": ARGUMENTS}
        await self.send(toolCall={"functionCalls": [call]})

    async def say(self, words) -> None:
        for word in words:
            blob = {"mimeType": "audio/pcm;rate=24000", "data": SOUND}
            turn = {"role": "model", "parts": [{"inlineData": blob}]}
            await self.send(serverContent={"modelTurn": turn})
            await self.send(serverContent={"outputTranscription": {"text": f" {word}"}})
        await self.send(serverContent={"generationComplete": True})

    async def interrupted(self) -> None:
        await self.send(serverContent={"interrupted": True})


class Live(Service):
    async def begin(self) -> None:
        first = await self.read()
        assert first["type"] == "session.start"
        session = first["session"]
        assert session["audio"]["format"] == {"type": "audio/pcm", "rate": RATE}
        self.means(session.get("instructions", ""))
        if "delegation" in session:
            assert session["delegation"]["type"] == "responses"
            [tool] = session["delegation"]["responses"]["tools"]
            assert session["delegation"]["responses"]["model"] and tool["parameters"]
            self.tool = tool["name"]
        await self.send(type="session.started", event_id="e", session=session)

    async def take(self, message) -> None:
        match message["type"]:
            case "session.input_audio.append":
                await self.heard(message["audio"], RATE)
            case "response.item.create":
                item = message["item"]
                assert (item["type"], item["call_id"]) == ("function_call_output", "call-1")
                self.result = item["output"]
            case "response.create":
                await self.speak(self.result)
            case other:
                raise KeyError(other)

    async def call(self) -> None:
        item = {"type": "function_call", "id": "item-1", "call_id": "call-1",
                "name": self.tool, "arguments": json.dumps(ARGUMENTS)}  # fmt: skip
        event = {"type": "response.output_item.done", "output_index": 0, "item": item}
        await self.send(type="response.event", event_id="e", event=event)

    async def say(self, words) -> None:
        for word in words:
            await self.send(type="session.output_audio.delta", delta=SOUND)
            await self.send(type="session.output_transcript.delta", event_id="e",
                            delta=f" {word}", start_ms=0, end_ms=0)  # fmt: skip

    async def interrupted(self) -> None:
        """Sound that was sent plays on: the protocol has no word for dropping it."""


class Realtime(Service):
    async def begin(self) -> None:
        self.told = []
        await self.tell("session.created", session={"type": "realtime"})

    async def tell(self, kind: str, **fields) -> None:
        await self.send(type=kind, event_id="e", **fields)

    async def take(self, message) -> None:
        match message["type"]:
            case "session.update":
                await self.update(message["session"])
            case "input_audio_buffer.append":
                await self.heard(message["audio"], RATE)
            case "conversation.item.create":
                item = message["item"]
                assert (item["type"], item["call_id"]) == ("function_call_output", "call-1")
                self.result = item["output"]
            case "response.create":
                await self.speak(self.result)
            case "conversation.item.truncate":
                assert message["item_id"] == "item-1" and message["content_index"] == 0
                heard = message["audio_end_ms"]
                assert self.owed and 200 <= heard < 1600, heard  # of the 1.8 s
                self.owed = False
            case other:
                raise KeyError(other)

    async def update(self, session) -> None:
        assert session["type"] == "realtime"
        for way in ("input", "output"):
            form = session["audio"][way]["format"]
            assert form == {"type": "audio/pcm", "rate": RATE}
        self.means(session.get("instructions", ""))
        for tool in session.get("tools", []):
            assert tool["type"] == "function" and tool["parameters"]
            self.tool = tool["name"]
        session["audio"]["input"]["turn_detection"] = {
            "type": "server_vad", "interrupt_response": True,
        }  # fmt: skip
        await self.tell("session.updated", session=session)

    async def call(self) -> None:
        item = {"type": "function_call", "id": "item-0", "call_id": "call-1",
                "name": self.tool, "arguments": json.dumps(ARGUMENTS)}  # fmt: skip
        await self.tell("response.output_item.done", response_id="r", output_index=0,
                        item=item)  # fmt: skip

    async def say(self, words) -> None:
        where = {"response_id": "r", "item_id": "item-1", "output_index": 0,
                 "content_index": 0}  # fmt: skip
        for i, word in enumerate(words):
            await self.tell("response.output_audio.delta", delta=SOUND, **where)
            delta = f" {word}" if i else word
            kind = "response.output_audio_transcript.delta"
            await self.tell(kind, delta=delta, **where)
        await self.tell("response.done", response={"id": "r", "status": "completed"})

    async def interrupted(self) -> None:
        self.owed = True
        await self.tell("input_audio_buffer.speech_started", item_id="i", audio_start_ms=0)


KINDS = {"/gemini": Gemini, "/v1/live/sessions": Live, "/v1/realtime": Realtime}


async def main(port: int) -> None:
    async def talk(socket) -> None:
        await KINDS[socket.request.path.partition("?")[0]](socket).run()

    async with serve(talk, "127.0.0.1", port, max_size=None):
        print("ready", flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
