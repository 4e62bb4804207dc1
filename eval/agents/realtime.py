"""A system behind OpenAI's Realtime protocol, through the official SDK, in real time.

    --agent=realtime --clock=realtime --agent_args=url=http://127.0.0.1:8080/v1,model=nano

Sound goes both ways as PCM at 24 kHz. Pictures go in as items of the conversation, one of
a pair. Detection of turns is left as the service has it; where that lets the user
interrupt, what has not been played is dropped when the user is told to speak, and the
service is told how much was heard, as its clients must. The key is that of the
environment's OPENAI_API_KEY (key_env: another).
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from eval.agent import Heard
from eval.agents.live import arguments, functions, taken
from eval.loudspeaker import Loudspeaker, Rate, pcm16
from eval.paced import Broken, Paced, chosen, key, missing, number
from eval.picture import jpeg
from eval.sample import Sample
from interaction.modality.audio import SAMPLE_RATE

RATE = 24_000
SOUND = {"format": {"type": "audio/pcm", "rate": RATE}}


class _Realtime:
    """interrupts: the service takes the user's speaking up for an interruption."""

    def __init__(self, sdk: Any, speaker: Loudspeaker, interrupts: bool) -> None:
        self._sdk, self._speaker, self._interrupts = sdk, speaker, interrupts
        self._to_theirs = Rate(SAMPLE_RATE, RATE)
        self._open: list[tuple[str, str]] = []  # tool and id of calls without a result
        self._item, self._item_s = "", 0.0  # that is being said, and its sound so far
        self._words_item = ""  # that words were last of

    async def hear(self, heard: Heard) -> None:
        for result in heard.results:
            output = {"type": "function_call_output", "call_id": taken(self._open, result)}
            await self._add(output | {"output": result.text})
            await self._sdk.response.create()
        if heard.frames is not None:
            url = f"data:image/jpeg;base64,{base64.b64encode(jpeg(heard.frames)).decode()}"
            await self._say({"type": "input_image", "image_url": url})
        if heard.text:
            await self._say({"type": "input_text", "text": heard.text})
        data = pcm16(self._to_theirs.push(heard.audio))
        piece = base64.b64encode(data).decode()
        await self._sdk.input_audio_buffer.append(audio=piece)

    async def _add(self, item: dict[str, Any]) -> None:
        await self._sdk.conversation.item.create(item=item)

    async def _say(self, part: dict[str, Any]) -> None:
        await self._add({"type": "message", "role": "user", "content": [part]})

    async def listen(self) -> None:
        async for event in self._sdk:
            match event.type:
                case "response.output_audio.delta":
                    self._sounds(event.item_id, base64.b64decode(event.delta))
                case "response.output_audio_transcript.delta":
                    again = event.item_id == self._words_item
                    self._speaker.write(event.delta if again else f" {event.delta}")
                    self._words_item = event.item_id
                case "response.output_item.done" if event.item.type == "function_call":
                    item = event.item
                    self._open.append((item.name, item.call_id))
                    self._speaker.call(item.name, arguments(item.arguments))
                case "input_audio_buffer.speech_started" if self._interrupts:
                    await self._interrupted()
                case "response.done" if event.response.status == "cancelled":
                    self._speaker.clear()
                case "response.done" if event.response.status == "failed":
                    raise Broken(f"a response failed: {event.response.status_details}")
                case "error":
                    raise Broken(event.error.message)

    def _sounds(self, item: str, data: bytes) -> None:
        if item != self._item:
            self._item, self._item_s = item, 0.0
        self._item_s += len(data) / 2 / RATE
        self._speaker.play_pcm(data)

    async def _interrupted(self) -> None:
        unheard = self._speaker.waiting_s
        self._speaker.clear()
        if unheard:
            ms = max(round(1000 * (self._item_s - unheard)), 0)
            await self._sdk.conversation.item.truncate(
                item_id=self._item, content_index=0, audio_end_ms=ms
            )


def _session(sample: Sample) -> Any:
    session: dict[str, Any] = {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {"input": SOUND, "output": SOUND},
    }
    if sample.instructions:
        session["instructions"] = sample.instructions
    if sample.tools:
        session["tools"] = functions(sample)
    return session


async def _updated(sdk: Any) -> Any:
    """The session as it is in force."""
    async for event in sdk:
        if event.type == "session.updated":
            return event.session
        if event.type == "error":
            raise Broken(event.error.message)
    raise Broken("the service ended the conversation")


def _interrupts(session: Any) -> bool:
    turns = session.audio.input.turn_detection
    return turns is not None and getattr(turns, "interrupt_response", True) is not False


def open(given: Mapping[str, str]) -> Paced:
    try:
        import openai
    except ModuleNotFoundError as error:
        raise missing(error) from None

    asked = chosen(
        "realtime", given, url="https://api.openai.com/v1", model="gpt-realtime",
        key_env="OPENAI_API_KEY", slots="1",
    )  # fmt: skip

    @contextlib.asynccontextmanager
    async def connect(sample: Sample) -> AsyncIterator[tuple[_Realtime, Loudspeaker]]:
        client = openai.AsyncOpenAI(api_key=key(asked["key_env"]), base_url=asked["url"])
        async with client, client.realtime.connect(model=asked["model"]) as sdk:
            await sdk.session.update(session=_session(sample))
            session = await _updated(sdk)
            speaker = Loudspeaker(RATE)
            yield _Realtime(sdk, speaker, _interrupts(session)), speaker

    name = f"realtime(url={asked['url']},model={asked['model']})"
    return Paced(name, number("realtime", "slots", asked["slots"]), connect)
