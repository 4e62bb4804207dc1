"""A client of the native protocol, for programs that have sound and want a reply.

async with Client("ws://127.0.0.1:8080") as talk:
    await talk.hear(audio)                    # float32 [3200], one a micro-turn
    async for said in talk:                   # every 200 ms
        play(said.sound)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Self

import msgspec
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from interaction.errors import InputError
from interaction.serve import messages as m
from interaction.serve.sound import Opus, Pcm


class Refused(InputError):
    """The server took no conversation, or ended it; says why."""


class Said(msgspec.Struct):
    """A micro-turn's reply, and its sound as float32 [3200]."""

    message: m.Say
    sound: np.ndarray


class Client:
    """One conversation. sound: how it is coded; `token` is for `resume=` after a broken
    connection, those of `kept` are of snapshots; `recording` is what its recording is
    called, if there is one; `errors` are what the server said of messages that it did not
    take; `drawn` are pictures of the background's. agree: asked whether a tool may act."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        seed: int = 0,
        temperature: float = 0.0,
        delay: int = 0,
        resume: str | None = None,
        fork: bool = False,
        consent: bool = False,
        sound: m.Coding = "pcm",
        agree: Callable[[m.Ask], bool] | None = None,
    ) -> None:
        self._url = url.rstrip("/") + "/v1/native"
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._first: m.ToServer = m.Start(
            seed, temperature, delay, consent, sound, agree is not None
        )
        if resume:
            self._first = m.Resume(resume, fork, consent, sound, agree is not None)
        self._agree = agree
        self._sound = Opus() if sound == "opus" else Pcm()
        self._socket: ClientConnection
        self.token = ""
        self.recording: str | None = None
        self._delay = delay
        self.turn = 0  # that `hear` sends next; kept abreast of the conversation's clock
        self.kept: list[m.Kept] = []
        self.errors: list[str] = []
        self.drawn: list[m.Drawn] = []
        self.why: str | None = None  # the conversation ended

    async def __aenter__(self) -> Self:
        try:
            self._socket = await connect(
                self._url, additional_headers=self._headers, max_size=1 << 22
            )
        except (OSError, InvalidHandshake) as error:
            raise Refused(f"{self._url}: {error}") from None
        await self._send(self._first)
        match await self._next():
            case m.Started() as started:
                self.token, self.turn = started.token, started.turn
                self.recording = started.recording
                return self
            case m.Ended(why) | m.Error(why):
                raise Refused(why)
            case other:
                raise Refused(f"{self._url} answered with {type(other).__name__}")

    async def __aexit__(self, *_: Any) -> None:
        if self.why is None:
            await self._send(m.Close())
        await self._socket.close()

    async def hear(
        self,
        sound: np.ndarray,
        pictures: Sequence[bytes] | None = None,
        text: str = "",
        turn: int | None = None,
    ) -> None:
        """Send a micro-turn: float32 [3200], two JPEG or PNG files or none, typed words.
        turn: its number, by default the next."""
        number = self.turn if turn is None else turn
        self.turn = max(self.turn, number + 1)
        shown = list(pictures) if pictures else None
        await self._send(m.Hear(number, self._sound.pack(sound), shown, text))

    async def snapshot(self) -> None:
        """Ask for one; `kept` has its token some turns later."""
        await self._send(m.Snapshot())

    async def __aiter__(self) -> AsyncIterator[Said]:
        """Until the conversation ends; then `why` says why."""
        while True:
            match await self._next():
                case m.Say() as say:
                    self.turn = max(self.turn, say.turn + 1 - self._delay)
                    yield Said(say, self._sound.unpack(say.audio))
                case m.Kept() as kept:
                    self.kept.append(kept)
                case m.Drawn() as drawn:
                    self.drawn.append(drawn)
                case m.Ask() as question:
                    assert self._agree
                    await self._send(m.Answer(question.number, self._agree(question)))
                case m.Error(message):
                    self.errors.append(message)
                case m.Ended(why):
                    self.why = why
                    return

    async def _send(self, message: m.ToServer) -> None:
        try:
            await self._socket.send(m.encode(message))
        except ConnectionClosed as closed:
            self.why = self.why or str(closed)

    async def _next(self) -> m.ToClient:
        try:
            data = await self._socket.recv(decode=False)
        except ConnectionClosed as closed:
            return m.Ended(self.why or str(closed))
        return m.to_client.decode(data)
