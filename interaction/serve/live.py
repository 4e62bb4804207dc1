"""OpenAI's Live protocol: full duplex on a timeline of milliseconds, without turns.

`/v1/live/sessions`, JSON. Sound is PCM at 16 or 24 kHz, or G.711; what the agent hears and
says comes as transcript deltas of stream time. When the model delegates, the client is told
(`session.delegation.created`, with what the model wrote to it as `directive`) and takes the
task, as the protocol has it where `delegation` is omitted; `{"type": "responses"}` leaves
it to the server's own background model. When the model calls off what was delegated, the
client is told too (`session.delegation.cancelled`, an event of ours).

Commentary is read by the model as words of its background: it may say them. Thinking is
silent: no model that speaks reads it and nobody is shown it; the background model is given
it with the instructions, where the server has one. Instructions are read when the session
starts, when they are appended, and when an update brings new ones; model, sound, delegation
and what went before cannot change, and an update that names them is refused.

`seed` and `temperature` may stand in the address (`events.sampling`). A session ends at its
`expires_at`, and when its connection breaks: there is no way back into one.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np
from starlette.websockets import WebSocket

from interaction.background.partner import order
from interaction.errors import InputError
from interaction.grammar import Kind
from interaction.serve import events
from interaction.serve.call import Call
from interaction.serve.codec import Decoder, Encoder, Format
from interaction.serve.events import WORD_MS, Event, Text
from interaction.serve.house import Begun
from interaction.serve.line import Stream
from interaction.serve.room import Turn
from interaction.serve.wire import Over, Wire

MOST = 1_000  # delegations that a client may still speak of; the newest
LONG = 4_000  # characters of instructions; of silent thinking, those kept, the newest
EXPIRED = "the session has expired"
FIXED = ("model", "audio", "delegation", "input", "client", "store", "safety_identifier")


class Output(msgspec.Struct, omit_defaults=True):
    voice: str | dict | None = None


class Audio(msgspec.Struct, omit_defaults=True):
    format: Format = Format()
    output: Output | None = None


class Delegation(msgspec.Struct):
    type: Literal["client", "responses"] = "client"


class Config(msgspec.Struct):
    """What this server uses of a session's configuration; other fields are let pass."""

    model: str
    audio: Audio = msgspec.field(default_factory=Audio)
    instructions: Text | None = None
    delegation: Delegation | None = None


class Start(Event, tag="session.start"):
    session: Config


class Update(Event, tag="session.update"):
    session: dict[str, Any]


class Append(Event, tag="session.input_audio.append"):
    audio: str


class Mute(Event, tag="session.input_audio.mute"):
    pass


class Unmute(Event, tag="session.input_audio.unmute"):
    pass


class Instruct(Event, tag="session.instructions.append"):
    content: Text
    delegation_id: str | None = None


class Think(Event, tag="session.thinking.append"):
    content: Text
    delegation_id: str | None = None


class Comment(Event, tag="session.commentary.append"):
    content: Text
    delegation_id: str | None = None


class Close(Event, tag="session.close"):
    pass


Client = Start | Update | Append | Mute | Unmute | Instruct | Think | Comment | Close

_read = msgspec.json.Decoder(Client)


class Live(Wire):
    """One primary connection."""

    def __init__(self, house: Any, socket: WebSocket) -> None:
        super().__init__(house, socket)
        self._id = events.new_id("live")
        self._muted = self._closing = False
        self._now_ms = 0
        self._config: Config | None = None
        self._asked: deque[str] = deque(maxlen=MOST)  # delegations
        self._silent: deque[str] = deque()
        self._expires = 0  # Unix time

    def read(self, got: dict[str, Any]) -> Client:
        return _read.decode(events.text_of(got))

    async def begin(self) -> Begun:
        first = await self.first()
        if not isinstance(first, Start):
            raise Over("the first event is session.start")
        config = first.session
        form = config.audio.format.check()
        self._decoder, self._encoder = Decoder(form), Encoder(form)
        call = Call(Stream())
        config.delegation = config.delegation or Delegation()
        if _hands_over(config) and not self.house.backstage:
            raise InputError(
                "session.delegation.type: no background model is here; leave it to `client`"
            )
        if config.instructions:
            call.read(config.instructions, Kind.INSTRUCT)
        query, temperature = self.socket.query_params, self.house.temperature
        sampling = self._sampling = events.sampling(query, temperature)
        await self.house.admit(call, sampling.seed, sampling.temperature)
        self._expires = math.ceil(time.time() + self.limits.life_s)
        self._config = config
        await self._tell("session.started", {"session": self._session()}, first)
        if name := self.record(self._id):
            says = f"recorded as {name}, as consented; its token is the session's id"
            await self._tell("info", {"message": says, "code": "recording"})
        return Begun(call, call.line)

    def delegates(self) -> bool:
        return self._config is not None and not _hands_over(self._config)

    def context(self, call: Call) -> str:
        if not self._silent:
            return call.instructions
        thought = "\n".join(self._silent)
        return f"{call.instructions}\nThinking of the client's:\n{thought}".strip()

    async def heard(self, message: Client, call: Call) -> None:
        now = {"start_ms": self._now_ms, "end_ms": self._now_ms}
        match message:
            case Append(audio):
                wave = self._decoder.push(events.from_base64(audio, "audio"))
                assert isinstance(call.line, Stream)
                call.line.write(np.zeros_like(wave) if self._muted else wave)
            case Mute() | Unmute():
                self._muted = isinstance(message, Mute)
                what = "muted" if self._muted else "unmuted"
                await self._tell(f"session.input_audio.{what}", {}, message)
            case Instruct(content, delegation_id):
                self._check(delegation_id)
                events.read(call, content, Kind.INSTRUCT, "content")
                await self._tell("session.instructions.appended", now, message)
            case Think(content, delegation_id):
                self._check(delegation_id)
                self._think(content)
                await self._tell("session.thinking.appended", now, message)
            case Comment(content, delegation_id):
                self._check(delegation_id)
                events.read(call, content, Kind.BACKGROUND, "content")
                await self._tell("session.commentary.appended", now, message)
            case Update(session):
                self._update(session, call)
                await self._tell("session.updated", {"session": self._session()}, message)
            case Close():
                self._closing = True
                raise Over("closed by the client")
            case Start():
                raise InputError("session.start: the session has started")

    def _check(self, delegation_id: str | None) -> None:
        """Raises InputError when no such delegation has been told of, or is not the
        client's."""
        if delegation_id is None:
            return
        if not self.delegates():
            raise InputError("delegation_id: tasks are the server's here; send null")
        if delegation_id not in self._asked:
            raise InputError(f"delegation_id: {delegation_id[:100]} was never created here")

    def _think(self, content: str) -> None:
        self._silent.append(content)
        while sum(map(len, self._silent)) > LONG:
            self._silent.popleft()

    def _update(self, session: dict[str, Any], call: Call) -> None:
        """Raises InputError, naming the field, before anything has changed."""
        assert self._config is not None
        now = msgspec.to_builtins(self._config)
        for name, value in session.items():
            if name in FIXED and value != now.get(name):
                raise InputError(f"session.{name}: cannot change once the session runs")
            if name not in FIXED and name != "instructions":
                raise InputError(f"session.{name[:100]}: nothing that this server changes")
        new = session.get("instructions", self._config.instructions)
        if new is not None and not (isinstance(new, str) and len(new) <= LONG):
            raise InputError(f"session.instructions: a text of at most {LONG} characters")
        if new and new != self._config.instructions:
            events.read(call, new, Kind.INSTRUCT, "session.instructions")
        self._config.instructions = new

    async def said(self, turn: Turn) -> None:
        out, self._now_ms = turn.out, round(1000 * turn.t_s)
        delta = events.to_base64(self._encoder.push(out.audio))
        await self._tell("session.output_audio.delta", {"delta": delta})
        for what in out.events:
            end = events.at_ms(turn, what.t_s)
            span = {"start_ms": max(end - WORD_MS, 0), "end_ms": end}
            if what.lane == "user":
                heard = {"delta": what.text} | span
                await self._tell("session.input_transcript.delta", heard)
            elif what.kind == Kind.DELEGATE.name:
                await self._delegated(out.directive, end)
        if out.text:
            span = {"start_ms": self._now_ms, "end_ms": self._now_ms + self.house.turn_ms}
            await self._tell("session.output_transcript.delta", {"delta": out.text} | span)
        if time.time() >= self._expires and self._begun:
            self._begun.call.end(EXPIRED)

    async def _delegated(self, directive: str, end_ms: int) -> None:
        wanted = order(directive)
        if wanted.ends:
            await self._tell("session.delegation.cancelled", {"offset_ms": end_ms})
        if wanted.begins:
            target = "client" if self.task is None else "responses"
            asked = {"id": self.task or events.new_id("dlg"), "target": target}
            asked |= {"type": "delegation", "directive": wanted.rest}
            self._asked.append(asked["id"])
            created = {"delegation": asked, "offset_ms": end_ms}
            await self._tell("session.delegation.created", created)

    async def wrong(self, what: str, got: dict[str, Any]) -> None:
        error = events.complaint(what) | {"client_event_id": events.name_of(got)}
        await self._tell("error", {"error": error})

    async def ended(self, why: str) -> None:
        if self._config is None:
            await self.wrong(why, {})
            return
        reason = "expired" if why == EXPIRED else "connection_lost"
        if self._closing:
            reason = "close_requested"
        if not self._closing:
            await self._tell("info", {"message": why, "code": "session_ending"})
        usage = {"seconds": self._now_ms / 1000}
        last = {"reason": reason, "session": self._session(), "usage": usage}
        await self._tell("session.closed", last)

    def _session(self) -> dict[str, Any]:
        assert self._config is not None
        given = msgspec.to_builtins(self._config)
        given = {name: value for name, value in given.items() if value is not None}
        told = {"id": self._id, "expires_at": self._expires, "status": "active"}
        return told | msgspec.to_builtins(self._sampling) | given

    async def _tell(
        self, kind: str, fields: Mapping[str, Any], answers: Event | None = None
    ) -> None:
        fields = dict(fields)
        if answers is not None and answers.event_id:
            fields["client_event_id"] = answers.event_id
        await self.send(events.event(kind, fields))


def _hands_over(config: Config) -> bool:
    """Whether tasks go to the server's own background model."""
    return config.delegation is not None and config.delegation.type == "responses"
