"""A recorded person talks with a server, in real time, as other systems' clients do.

    python -m interaction.serve --checkpoint=nano --slots=2
    python tests/serve/sdk_talk.py --protocol=realtime --seconds=30 \
        --input=interaction/assets/nano/example.wav --output=reply.wav --report=talk.json

`live` and `realtime` go through OpenAI's official Python SDK, `moshi` through the codec of
Moshi's client; its protocol does not tell what the model has heard.

Sound goes in 20 ms at a time, at the time at which it is said; the recording begins again
where it is shorter. What comes back is noted with what had been sent by then. The reply is
what a loudspeaker would have played that takes up each piece when it comes.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import openai
import sphn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from interaction import report
from interaction.errors import InputError, run_command
from interaction.modality.files import check_sound_name, read_audio, write_audio

RATE, CHUNK = 24_000, 480
AFTER_S = 2.0  # for what is still being said
KEY = "INTERACTION_KEY"

SOUND = "session.output_audio.delta", "response.output_audio.delta", "moshi.sound"
WORDS = (
    "session.output_transcript.delta",
    "response.output_audio_transcript.delta",
    "moshi.text",
)
HEARD = (
    "session.input_transcript.delta",
    "conversation.item.input_audio_transcription.delta",
)
TOLD = "response.done", "input_audio_buffer.speech_started", "conversation.item.truncated"


@dataclass
class Came:
    """One event. t_s: since the first sound was sent; sent_s: sound sent by then."""

    t_s: float
    sent_s: float
    kind: str
    text: str = ""
    sound: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))


class Talk:
    """One conversation; `came` fills as it goes on."""

    def __init__(self, connection: Any, live: bool) -> None:
        self._sdk, self._live = connection, live
        self._began = 0.0
        self._sent_s = 0.0
        self.came: list[Came] = []
        self.errors: list[str] = []
        self.late_ms: list[float] = []  # pieces, after their time
        self._item: dict[str, Any] = {}  # that words were last of, by kind

    async def begin(self) -> None:
        """Raises InputError when the server takes no conversation."""
        if self._live:
            await self._sdk.session.start(session={"model": "nano"})
        first = await self._sdk.recv()
        if first.type == "error":
            raise InputError(first.error.message)

    async def say(self, wave: np.ndarray) -> None:
        """float32 at `RATE`, as a microphone gives it: every piece when it is whole."""
        self._began = time.perf_counter()
        for at in range(0, len(wave), CHUNK):
            due = self._began + (at + CHUNK) / RATE
            await asyncio.sleep(due - time.perf_counter())
            self.late_ms.append(1e3 * (time.perf_counter() - due))
            await self._send(wave[at : at + CHUNK])
            self._sent_s = (at + CHUNK) / RATE

    async def _send(self, piece: np.ndarray) -> None:
        buffer = (
            self._sdk.session.input_audio if self._live else self._sdk.input_audio_buffer
        )
        pcm = (np.clip(piece, -1.0, 32767 / 32768) * 32768).round().astype("<i2")
        await buffer.append(audio=base64.b64encode(pcm.tobytes()).decode())

    async def listen(self) -> None:
        async for event in self._sdk:
            if self._began:
                self._note(event)

    async def end(self) -> None:
        if self._live:
            await self._sdk.session.close()
        else:
            await self._sdk.close()

    def _note(self, event: Any) -> None:
        came = Came(time.perf_counter() - self._began, self._sent_s, event.type)
        if event.type in SOUND:
            pcm = np.frombuffer(base64.b64decode(event.delta), "<i2")
            came.sound = pcm.astype(np.float32) / 32768.0
        elif event.type in WORDS + HEARD:
            item = getattr(event, "item_id", None)
            again = item == self._item.get(event.type)
            came.text, self._item[event.type] = "" if again else " ", item
            came.text += event.delta
        elif event.type == "error":
            self.errors.append(event.error.message)
        elif event.type == "response.done":
            came.text = event.response.status
        self.came.append(came)


class Moshi(Talk):
    """Over the socket itself: a type's byte, and Ogg-Opus or text."""

    HELLO, SOUND, TEXT, ERROR = 0, 1, 2, 5

    def __init__(self, socket: Any) -> None:
        super().__init__(socket, live=False)
        self._out, self._in = sphn.OpusStreamWriter(RATE), sphn.OpusStreamReader(RATE)

    async def begin(self) -> None:
        first = await self._sdk.recv(decode=False)
        if first[0] != self.HELLO:
            raise InputError(first[1:].decode())

    async def _send(self, piece: np.ndarray) -> None:
        await self._sdk.send(bytes([self.SOUND]) + self._out.append_pcm(piece))

    async def listen(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._take(await self._sdk.recv(decode=False))

    async def end(self) -> None:
        await self._sdk.close()

    def _take(self, data: bytes) -> None:
        kinds = {self.SOUND: "moshi.sound", self.TEXT: "moshi.text"}
        kind, payload = data[0], data[1:]
        if kind == self.ERROR:
            self.errors.append(payload.decode())
        # Decoded from the first page on, even if nothing has been sent yet.
        sound = self._in.append_bytes(payload) if kind == self.SOUND else None
        if not self._began or kind not in kinds:
            return
        came = Came(time.perf_counter() - self._began, self._sent_s, kinds[kind])
        if sound is not None:
            came.sound = sound
        else:
            came.text = payload.decode()
        self.came.append(came)


@contextlib.asynccontextmanager
async def connected(args: argparse.Namespace) -> AsyncIterator[Talk]:
    key, base = os.environ.get(KEY, "none"), args.url.rstrip("/")
    if args.protocol == "moshi":
        address = f"{base.replace('http', 'ws', 1)}/api/chat"
        headers = {"Authorization": f"Bearer {key}"}
        async with connect(address, additional_headers=headers) as socket:
            yield Moshi(socket)
        return
    sdk = openai.AsyncOpenAI(api_key=key, base_url=f"{base}/v1")
    live = args.protocol == "live"
    connects = sdk.live.connect() if live else sdk.realtime.connect(model="nano")
    async with connects as connection:
        yield Talk(connection, live)


async def converse(args: argparse.Namespace, wave: np.ndarray) -> Talk:
    try:
        async with connected(args) as talk:
            await talk.begin()
            listening = asyncio.create_task(talk.listen())
            await talk.say(wave)
            await asyncio.sleep(AFTER_S)
            await talk.end()
            await asyncio.wait_for(listening, 20)
            return talk
    except OSError as error:
        raise InputError(f"{args.url}: {error}; start the server first") from None


def played(came: list[Came]) -> np.ndarray:
    """float32 at `RATE`, from the first sound that was sent on."""
    reply, end = np.zeros(0, np.float32), 0
    for each in came:
        if len(each.sound):
            at = max(end, round(each.t_s * RATE))
            end = at + len(each.sound)
            reply = np.concatenate([reply, np.zeros(at - len(reply), "f4"), each.sound])
    return reply


def figures(talk: Talk, seconds: float) -> dict[str, Any]:
    """What came, and how much of it while sound still went in."""
    found: dict[str, Any] = {"sent_s": seconds, "errors": talk.errors}
    found["sent_late_ms"] = report.percentiles(talk.late_ms)
    for name, kinds in (("sound", SOUND), ("words", WORDS), ("heard", HEARD)):
        those = [each for each in talk.came if each.kind in kinds]
        found[name] = {
            "deltas": len(those),
            "while_sending": sum(each.sent_s < seconds for each in those),
            "first_s": round(those[0].t_s, 3) if those else None,
            "last_s": round(those[-1].t_s, 3) if those else None,
        }
    sound = [each for each in talk.came if len(each.sound)]
    found["sound"]["gap_ms"] = report.percentiles(1e3 * np.diff([x.t_s for x in sound]))
    found["sound"]["seconds"] = round(sum(len(x.sound) for x in sound) / RATE, 3)
    loud = [x for x in sound if np.abs(x.sound).max() > 0.01]
    found["sound"]["loud_s"] = round(sum(len(x.sound) for x in loud) / RATE, 3)
    joined = lambda kinds: "".join(x.text for x in talk.came if x.kind in kinds).strip()  # noqa: E731
    found["words"]["text"], found["heard"]["text"] = joined(WORDS), joined(HEARD)
    told = [each for each in talk.came if each.kind in WORDS + HEARD + TOLD]
    found["events"] = [
        {
            "t_s": round(x.t_s, 3),
            "sent_s": round(x.sent_s, 3),
            "kind": x.kind,
            "text": x.text,
        }
        for x in told
    ]
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog=f"A key for the server is taken from {KEY}.",
    )
    add = parser.add_argument
    add("--url", default="http://127.0.0.1:8080")
    add("--protocol", choices=("live", "realtime", "moshi"), default="realtime")
    add("--input", type=Path, required=True, help="what is said: wav, flac, ogg or mp3")
    add("--seconds", type=float, default=30.0)
    add("--output", type=Path, help="the reply: wav, flac or ogg")
    add("--report", type=Path, help="figures: json")
    return parser.parse_args()


def main() -> int:
    args = _arguments()
    if args.output:
        check_sound_name(args.output)
    if args.seconds < 1:
        raise InputError(f"--seconds={args.seconds:g}: give at least 1")
    wave = np.resize(read_audio(args.input, RATE), round(args.seconds * RATE))
    talk = asyncio.run(converse(args, wave))
    found = figures(talk, len(wave) / RATE)
    if args.output:
        write_audio(args.output, played(talk.came), RATE)
    if args.report:
        head = report.header("interaction.sdk_talk/1", {"protocol": args.protocol})
        report.write_report(args.report, head | {"openai": openai.__version__} | found)
    sound, words = found["sound"], found["words"]
    print(
        f"{args.protocol}: {sound['deltas']} deltas of sound ({sound['seconds']} s), "
        f"{sound['while_sending']} while sending; {words['deltas']} of words, "
        f"{words['while_sending']} while sending\nheard: {found['heard']['text']}\n"
        f"said: {words['text']}"
    )
    for error in found["errors"]:
        print(f"error: {error}")
    return int(bool(found["errors"]) or not sound["while_sending"])


if __name__ == "__main__":
    run_command(main)
