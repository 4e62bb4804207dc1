"""A system behind OpenAI's Live protocol, through the official SDK, in real time.

    --agent=live --clock=realtime --agent_args=url=http://127.0.0.1:8080/v1,model=nano

Sound goes both ways as PCM at 16 kHz, the harness's own rate (rate=24000: where a system
prefers that). The protocol has no place for pictures and typed words: they are not sent.
A sample's tools are declared to a backend of the service's where one is named
(backend=MODEL). Without one, only a tool called `delegate` can be called: it is what the
model delegates to the client, with the words that it heard as `heard`; results are read to
it as commentary. The key is that of the environment's OPENAI_API_KEY (key_env: another).
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from eval.agent import Heard, Result
from eval.loudspeaker import Loudspeaker, Rate, pcm16
from eval.paced import Broken, Paced, chosen, key, missing, number
from eval.sample import Sample
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE

DELEGATE = "delegate"


class _Live:
    def __init__(self, sdk: Any, speaker: Loudspeaker, rate: int) -> None:
        self._sdk, self._speaker = sdk, speaker
        self._to_theirs = Rate(SAMPLE_RATE, rate)
        self._heard = ""
        self._open: list[tuple[str, str]] = []  # tool and id of calls without a result

    async def hear(self, heard: Heard) -> None:
        for result in heard.results:
            await self._answer(result)
        data = pcm16(self._to_theirs.push(heard.audio))
        await self._sdk.session.input_audio.append(audio=base64.b64encode(data).decode())

    async def listen(self) -> None:
        async for event in self._sdk:
            match event.type:
                case "session.output_audio.delta":
                    self._speaker.play_pcm(base64.b64decode(event.delta))
                case "session.output_transcript.delta":
                    self._speaker.write(event.delta)
                case "session.input_transcript.delta":
                    self._heard += event.delta
                case "session.delegation.created" if event.delegation.target == "client":
                    self._called(DELEGATE, event.delegation.id, {"heard": self._heard})
                    self._heard = ""
                case "response.event":
                    self._of_backend(event.event)
                case "session.closed":
                    raise Broken(f"closed by the service: {event.reason}")
                case "error":
                    raise Broken(event.error.message)

    def _of_backend(self, event: Mapping[str, Any]) -> None:
        item = event.get("item")
        if event.get("type") != "response.output_item.done" or not isinstance(item, dict):
            return
        if item.get("type") == "function_call":
            self._called(item["name"], item["call_id"], arguments(item["arguments"]))

    def _called(self, name: str, id_: str, arguments: dict[str, Any]) -> None:
        self._open.append((name, id_))
        self._speaker.call(name, arguments)

    async def _answer(self, result: Result) -> None:
        id_ = taken(self._open, result)
        if result.call.name == DELEGATE:
            await self._sdk.session.commentary.append(
                content=result.text, delegation_id=id_
            )
        else:
            item = {"type": "function_call_output", "call_id": id_, "output": result.text}
            await self._sdk.response.item.create(item=item)
            await self._sdk.response.create()


def arguments(text: str) -> dict[str, Any]:
    """Of a call; what is no JSON object is the system's mistake, and stays to be seen."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"no JSON object": text}


def functions(sample: Sample) -> list[dict[str, Any]]:
    """A sample's tools as OpenAI's protocols declare them."""
    return [
        {"type": "function", "name": tool.name, "description": tool.description,
         "parameters": dict(tool.parameters)}
        for tool in sample.tools
    ]  # fmt: skip


def taken(open_: list[tuple[str, str]], result: Result) -> str:
    """The id of the oldest call that a result can be of; it is no longer open."""
    at = next(i for i, (name, _) in enumerate(open_) if name == result.call.name)
    return open_.pop(at)[1]


def _delegation(sample: Sample, backend: str) -> dict[str, Any]:
    """What a session is told of tools; nothing where there are none."""
    if not sample.tools:
        return {}
    if not backend:
        if [tool.name for tool in sample.tools] != [DELEGATE]:
            raise Broken("tools are called by a backend; name one: backend=MODEL")
        return {"delegation": {"type": "client"}}
    asked = {"model": backend, "tools": functions(sample)}
    return {"delegation": {"type": "responses", "responses": asked}}


def _session(sample: Sample, rate: int, model: str, backend: str) -> Any:
    audio = {"format": {"type": "audio/pcm", "rate": rate}}
    session = {"model": model, "audio": audio} | _delegation(sample, backend)
    return session | ({"instructions": sample.instructions} if sample.instructions else {})


def open(given: Mapping[str, str]) -> Paced:
    try:
        import openai
    except ModuleNotFoundError as error:
        raise missing(error) from None

    asked = chosen(
        "live", given, url="https://api.openai.com/v1", model="gpt-live-1",
        key_env="OPENAI_API_KEY", rate="16000", backend="", slots="1",
    )  # fmt: skip
    rate = number("live", "rate", asked["rate"])
    if rate not in (16_000, 24_000):
        raise InputError("--agent_args: live takes rate=16000 or rate=24000")

    @contextlib.asynccontextmanager
    async def connect(sample: Sample) -> AsyncIterator[tuple[_Live, Loudspeaker]]:
        client = openai.AsyncOpenAI(api_key=key(asked["key_env"]), base_url=asked["url"])
        session = _session(sample, rate, asked["model"], asked["backend"])
        async with client, client.live.connect() as sdk:
            await sdk.session.start(session=session)
            first = await sdk.recv()
            if first.type != "session.started":
                raise Broken(first.error.message if first.type == "error" else first.type)
            speaker = Loudspeaker(rate)
            yield _Live(sdk, speaker, rate), speaker
            await sdk.session.close()

    name = f"live(url={asked['url']},model={asked['model']})"
    return Paced(name, number("live", "slots", asked["slots"]), connect)
