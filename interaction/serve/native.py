"""The native protocol over a WebSocket: one message a micro-turn each way."""

from __future__ import annotations

import io
import secrets
import time
from typing import Any

import numpy as np
from PIL import Image
from starlette.websockets import WebSocket

from interaction.errors import InputError
from interaction.serve import messages as m
from interaction.serve.call import Call
from interaction.serve.line import Numbered
from interaction.serve.room import Turn
from interaction.serve.wire import Begun, Over, Wire

SIDE = 4_096  # pixels of a picture's side at most


def picture(data: bytes) -> np.ndarray:
    """JPEG or PNG -> uint8 [H, W, 3]. Raises InputError."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            if max(image.size) > SIDE:
                raise InputError(f"pictures: {image.size}; {SIDE} pixels a side at most")
            return np.asarray(image.convert("RGB"))
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"pictures: neither JPEG nor PNG ({error})") from None


class Native(Wire):
    """Messages are those of `interaction.serve.messages`."""

    def __init__(self, house: Any, socket: WebSocket) -> None:
        super().__init__(house, socket)
        self._came: dict[int, float] = {}  # turns that wait: when, in seconds

    def read(self, got: dict[str, Any]) -> m.ToServer:
        data = got.get("bytes")
        if data is None:
            raise InputError("a text message; send binary ones, of MessagePack")
        return m.to_server.decode(data)

    async def begin(self, first: m.ToServer) -> Begun:
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
        cfg = self.house.room.engine.cfg
        started = m.Started(
            token, turn, self.house.turn_ms, self.limits.grace_s,
            cfg.frame_height, cfg.frame_width, cfg.frame_period,
        )  # fmt: skip
        self._delay = line.delay
        await self.send(m.encode(started))
        return Begun(call, line, token)

    async def heard(self, message: m.ToServer, call: Call) -> None:
        if isinstance(message, m.Close):
            raise Over("closed by the client")
        if not isinstance(message, m.Hear):
            raise InputError("this conversation has started; send `hear`")
        pair = [picture(data) for data in message.pictures or ()]
        if pair and pair[0].shape != pair[1].shape:
            raise InputError("pictures: of two sizes; send both alike")
        assert isinstance(call.line, Numbered)
        sound = np.frombuffer(message.audio, "<i2").astype(np.float32) / 32768.0
        if call.line.write(message.turn, sound):
            self._came[message.turn] = time.monotonic()
        if pair:
            call.see(np.stack(pair))
        if message.text and not call.read(message.text):
            raise InputError("text: too much waits to be read; send less")

    async def said(self, turn: Turn) -> None:
        said = say(turn, self.house.turn_ms)
        said.early_ms = self._early_ms(said)
        await self.send(m.encode(said))

    def _early_ms(self, said: m.Say) -> float:
        """0 when what it answers had not come."""
        began, answers = time.monotonic() - said.compute_ms / 1e3, said.turn - self._delay
        came = self._came.get(answers, began)
        self._came = {turn: s for turn, s in self._came.items() if turn > answers}
        return round(max(1e3 * (began - came), 0.0), 1)

    async def wrong(self, what: str, got: dict[str, Any]) -> None:
        await self.send(m.encode(m.Error(what)))

    async def ended(self, why: str) -> None:
        await self.send(m.encode(m.Ended(why)))


def say(turn: Turn, turn_ms: int) -> m.Say:
    """Its times are of the clock; a conversation's own lacks the turns that passed."""
    out, passed_s = turn.out, turn.t_s - turn.out.turn_s
    pcm = (np.clip(out.audio, -1.0, 32767 / 32768) * 32768).round().astype("<i2")
    events = [
        m.Happened(round(e.t_s + passed_s, 3), e.lane, e.kind, e.text) for e in out.events
    ]
    number = round(1000 * turn.t_s / turn_ms) - 1
    return m.Say(
        number, pcm.tobytes(), out.text, list(out.heard), events, out.cleared,
        round(turn.missing_ms, 1), round(out.compute_ms, 1),
    )  # fmt: skip
