"""The native protocol over a WebSocket: one message a micro-turn each way."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from starlette.websockets import WebSocket

from interaction.background.protocol import Artifact
from interaction.errors import InputError
from interaction.serve import messages as m
from interaction.serve.away import new_token
from interaction.serve.backstage import shown
from interaction.serve.call import Call
from interaction.serve.house import Begun
from interaction.serve.line import Numbered
from interaction.serve.pictures import pictures
from interaction.serve.room import Turn
from interaction.serve.sound import Opus, Pcm
from interaction.serve.wire import Over, Wire


class Native(Wire):
    """Messages are those of `interaction.serve.messages`."""

    _sound: Pcm | Opus
    _again = 0.0  # when there may be another snapshot
    _filing: asyncio.Task[None] | None = None

    def __init__(self, house: Any, socket: WebSocket) -> None:
        super().__init__(house, socket)
        self._came: dict[int, float] = {}  # turns that wait: when, in seconds

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
        call.questions.asks = first.asks
        self._sound = Opus() if first.sound == "opus" else Pcm()
        self._delay = call.line.delay
        cfg = self.house.room.engine.cfg
        started = m.Started(
            token, call.line.first, self.house.turn_ms, self.limits.grace_s,
            cfg.frame_height, cfg.frame_width, cfg.frame_period,
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
        if isinstance(message, m.Answer):
            call.questions.answer(message.number, message.yes)
            return
        if not isinstance(message, m.Hear):
            raise InputError("this conversation has started; send `hear`")
        assert isinstance(call.line, Numbered)
        if call.line.write(message.turn, self._sound.unpack(message.audio)):
            self._came[message.turn] = time.monotonic()
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
        said = say(turn, self._sound.pack(turn.out.audio), self.house.turn_ms)
        now_s = turn.on_clock(turn.out.turn_s)
        said.events += [shown(told, now_s) for told in self.thoughts]
        said.early_ms = self._early_ms(said)
        await self._show(now_s)  # before the turn that tells of it
        await self.send(m.encode(said))

    async def _show(self, now_s: float) -> None:
        """What the background has for the user's eyes, and asks."""
        assert self._begun
        for told in self.thoughts:
            update = told.update
            if isinstance(update, Artifact) and update.picture:
                drawn = m.Drawn(told.task, update.title, now_s, update.picture)
                await self.send(m.encode(drawn))
        for question in self._begun.call.questions.news():
            await self.send(m.encode(question))

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


def say(turn: Turn, audio: bytes | list[bytes], turn_ms: int) -> m.Say:
    out = turn.out
    events = [m.Happened(turn.on_clock(e.t_s), e.lane, e.kind, e.text) for e in out.events]
    number = round(1000 * turn.t_s / turn_ms) - 1
    return m.Say(
        number, audio, out.text, list(out.heard), events, out.cleared,
        round(turn.missing_ms, 1), round(out.compute_ms, 1),
    )  # fmt: skip
