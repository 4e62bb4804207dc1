"""The native protocol over a WebSocket: one message a micro-turn each way."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from interaction.errors import InputError
from interaction.serve import messages as m
from interaction.serve.away import new_token
from interaction.serve.call import Call
from interaction.serve.line import Numbered
from interaction.serve.pictures import pictures
from interaction.serve.room import Turn
from interaction.serve.sound import Opus, Pcm
from interaction.serve.wire import Begun, Over, Wire


class Native(Wire):
    """Messages are those of `interaction.serve.messages`."""

    _sound: Pcm | Opus
    _again = 0.0  # when there may be another snapshot
    _filing: asyncio.Task[None] | None = None

    def read(self, got: dict[str, Any]) -> m.ToServer:
        data = got.get("bytes")
        if data is None:
            raise InputError("a text message; send binary ones, of MessagePack")
        return m.to_server.decode(data)

    async def begin(self) -> Begun:
        first = await self.first()
        if isinstance(first, m.Start):
            call, token = Call(Numbered(first.delay)), new_token()
            await self.house.admit(call, first.seed, first.temperature)
        elif isinstance(first, m.Resume):
            call, token = await self.house.back(first.token, first.fork)
        else:
            raise Over("the first message is `start` or `resume`")
        assert isinstance(call.line, Numbered)
        self._sound = Opus() if first.sound == "opus" else Pcm()
        started = m.Started(
            token, call.line.first, self.house.turn_ms, self.limits.grace_s,
            self.record(token, first.consent),
        )  # fmt: skip
        await self.send(m.encode(started))
        return Begun(call, call.line, token)

    async def heard(self, message: m.ToServer, call: Call) -> None:
        if isinstance(message, m.Close):
            raise Over("closed by the client")
        if isinstance(message, m.Snapshot):
            self._snapshot(call)
            return
        if not isinstance(message, m.Hear):
            raise InputError("this conversation has started; send `hear`")
        assert isinstance(call.line, Numbered)
        call.line.write(message.turn, self._sound.unpack(message.audio))
        if message.pictures:
            # Elsewhere: large ones would keep everybody waiting here.
            call.see(await asyncio.to_thread(pictures, message.pictures))
        if message.text and not call.read(message.text):
            raise InputError("text: too much waits to be read; send less")

    def _snapshot(self, call: Call) -> None:
        now = time.monotonic()
        if now < self._again or (self._filing and not self._filing.done()):
            raise InputError(f"snapshot: one in {self.limits.snapshot_s:.0f} s; wait")
        self._again = now + self.limits.snapshot_s
        self._filing = asyncio.create_task(self._file(call))

    async def _file(self, call: Call) -> None:
        """Beside the conversation, which goes on."""
        token = new_token()
        with contextlib.suppress(Over):
            try:
                turns = await self.house.away.file(token, call)
            except InputError as error:
                await self.wrong(str(error), {})
                return
            await self.send(m.encode(m.Kept(token, turns - 1)))

    async def said(self, turn: Turn) -> None:
        audio = self._sound.pack(turn.out.audio)
        await self.send(m.encode(say(turn, audio, self.house.turn_ms)))

    async def wrong(self, what: str, got: dict[str, Any]) -> None:
        await self.send(m.encode(m.Error(what)))

    async def ended(self, why: str) -> None:
        await self.send(m.encode(m.Ended(why)))


def say(turn: Turn, audio: bytes | list[bytes], turn_ms: int) -> m.Say:
    out = turn.out
    events = [m.Happened(e.t_s, e.lane, e.kind, e.text) for e in out.events]
    number = round(1000 * turn.t_s / turn_ms) - 1
    return m.Say(
        number, audio, out.text, list(out.heard), events, out.cleared,
        round(turn.missing_ms, 1), round(out.compute_ms, 1),
    )  # fmt: skip
