"""The native protocol over a WebSocket: one message a micro-turn each way."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np

from interaction.errors import InputError
from interaction.serve import messages as m
from interaction.serve.call import Call
from interaction.serve.line import Numbered
from interaction.serve.pictures import picture
from interaction.serve.room import Turn
from interaction.serve.sound import Opus, Pcm
from interaction.serve.wire import Begun, Over, Wire


class Native(Wire):
    """Messages are those of `interaction.serve.messages`."""

    _sound: Pcm | Opus

    def read(self, got: dict[str, Any]) -> m.ToServer:
        data = got.get("bytes")
        if data is None:
            raise InputError("a text message; send binary ones, of MessagePack")
        return m.to_server.decode(data)

    async def begin(self) -> Begun:
        first = await self.first()
        if isinstance(first, m.Start):
            line, turn = Numbered(first.delay), 0
            call, token = Call(line), secrets.token_urlsafe(24)
            await self.house.admit(call, first.seed, first.temperature)
        elif isinstance(first, m.Resume):
            held = await self.house.back(first.token)
            line, turn = Numbered(held.delay, first=held.turns), held.turns
            call, token = Call(line), first.token
            await self.house.rejoin(held, call)
        else:
            raise Over("the first message is `start` or `resume`")
        self._sound = Opus() if first.sound == "opus" else Pcm()
        ms, grace = self.house.turn_ms, self.limits.grace_s
        await self.send(m.encode(m.Started(token, turn, ms, grace)))
        return Begun(call, line, token)

    async def heard(self, message: m.ToServer, call: Call) -> None:
        if isinstance(message, m.Close):
            raise Over("closed by the client")
        if not isinstance(message, m.Hear):
            raise InputError("this conversation has started; send `hear`")
        pair = [picture(data, "pictures") for data in message.pictures or ()]
        if pair and pair[0].shape != pair[1].shape:
            raise InputError("pictures: of two sizes; send both alike")
        assert isinstance(call.line, Numbered)
        call.line.write(message.turn, self._sound.unpack(message.audio))
        if pair:
            call.see(np.stack(pair))
        if message.text and not call.read(message.text):
            raise InputError("text: too much waits to be read; send less")

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
