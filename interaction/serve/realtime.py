"""OpenAI's Realtime protocol, of a model that listens while it speaks.

`/v1/realtime`, JSON, with the names of the official SDK's GA types. Sound goes in without
commits and is heard as it comes; responses are made from the model's own speaking. One
begins with its first output after silence, and ends when it falls silent (completed) or
yields (cancelled, turn_detected). Nothing here detects speech or turns: `speech_started`
and `speech_stopped` are told from the words that the model heard, after they were heard.

Typed words, pictures and the outputs of functions reach the model in its next turns. What
it has heard, read and said it cannot unlearn: delete and truncate change what is told of
the conversation. `response.create` opens a response for what the model says next, and
closes it empty when the model says nothing for `PATIENCE` turns; `response.cancel` keeps
the rest of what the model is saying from the client. When the model delegates, the function
`delegate` is called, if the client has declared it, with the user's words as `heard`, and
with what the model wrote to it, or nothing, as `directive`: `cancel` calls off the others,
and `instead`, before what is wanted now, does too.

The address may ask for a `seed` and a `temperature`, and consent to be recorded
(`consent=true`): the session tells all three. A recording's token is the session's id. A
session whose connection broke has ended, and what has not come of its sound is silence.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import msgspec
import numpy as np
from starlette.websockets import WebSocket

from interaction.conversation import Output
from interaction.errors import InputError
from interaction.grammar import Kind
from interaction.serve import events
from interaction.serve import realtime_events as e
from interaction.serve.call import Call
from interaction.serve.codec import Decoder
from interaction.serve.house import Begun
from interaction.serve.line import Stream
from interaction.serve.pictures import picture
from interaction.serve.realtime_items import Items, Speech, Told, new_item
from interaction.serve.realtime_reply import NOTHING, Reply
from interaction.serve.room import Turn
from interaction.serve.wire import Wire

PATIENCE = 25  # turns that a response waits for the model to begin; five seconds


class Realtime(Wire):
    """One connection."""

    def __init__(self, house: Any, socket: WebSocket) -> None:
        super().__init__(house, socket)
        self._id, self._conversation = events.new_id("sess"), events.new_id("conv")
        self._model = socket.query_params.get("model", "")[:100]
        self._settings = e.Settings()
        self._decoder = Decoder(self._settings.heard)
        self._items = Items()
        self._speech = Speech(self._items)
        self._reply: Reply | None = None
        self._hushed = False  # what is being said has been cancelled
        self._still: np.ndarray | None = None  # a picture that was not looked at yet
        # What one message or turn leads to is told in one piece.
        self._lock = asyncio.Lock()

    def read(self, got: dict[str, Any]) -> e.Client:
        return e.decode(events.text_of(got))

    async def begin(self) -> Begun:
        self._call = Call(Stream())
        query, temperature = self.socket.query_params, self.house.temperature
        sampling = self._sampling = events.sampling(query, temperature)
        await self.house.admit(self._call, sampling.seed, sampling.temperature)
        self._recorded = self.record(self._id)
        conversation = {"id": self._conversation, "object": "realtime.conversation"}
        await self._tell([
            ("session.created", {"session": self._session()}),
            ("conversation.created", {"conversation": conversation}),
        ])  # fmt: skip
        return Begun(self._call, self._call.line)

    def delegates(self) -> bool:
        return self._settings.delegate is not None

    async def heard(self, message: e.Client, call: Call) -> None:
        async with self._lock:
            await self._tell(await self._take(message))

    async def said(self, turn: Turn) -> None:
        async with self._lock:
            self._look(turn.out)
            await self._tell(self._hear(turn) + self._say(turn.out))

    async def wrong(self, what: str, got: dict[str, Any]) -> None:
        error = events.complaint(what) | {"event_id": events.name_of(got)}
        await self._tell([("error", {"error": error})])

    async def ended(self, why: str) -> None:
        error = {"type": "server_error", "code": "session_ended", "message": why}
        async with self._lock:
            told = self._end("failed", error=error)
            await self._tell([*told, ("error", {"error": error})])

    async def _take(self, message: e.Client) -> Told:
        """Raises InputError before anything has changed."""
        match message:
            case e.Append(audio):
                self._line.write(self._decoder.push(events.from_base64(audio, "audio")))
                return []
            case e.Commit():
                return self._speech.commit(self._transcribes)
            case e.Clear():
                self._line.clear()
                return [("input_audio_buffer.cleared", {})]
            case e.Update(session):
                return self._update(session)
            case e.Create():
                return await self._create(message)
            case e.Retrieve(item_id):
                found = self._items.find(item_id)
                return [("conversation.item.retrieved", {"item": found})]
            case e.Delete(item_id):
                return self._items.remove(item_id)
            case e.Truncate(item_id, _, end_ms):
                return self._items.truncate(item_id, end_ms)
            case e.Respond(asked):
                return self._respond(asked, message)
            case e.Cancel(response_id):
                return self._cancel(response_id, message)

    def _update(self, session: e.Session) -> Told:
        before, after = self._settings, self._settings.updated(session)
        words = after.instructions if after.instructions != before.instructions else ""
        if after.delegate and after.delegate != before.delegate:
            words = f"{words} {after.delegate.description or ''}"
        if words.strip():
            events.read(self._call, words, Kind.INSTRUCT, "session.instructions")
        if after.heard != before.heard:
            self._decoder = Decoder(after.heard)
        self._settings = after
        return [("session.updated", {"session": self._session()})]

    async def _create(self, message: e.Create) -> Told:
        item, after = message.item, message.previous_item_id
        self._items.fits(item.id, after)
        if isinstance(item, e.CallOutput):
            self._items.called(item.call_id, "item.call_id")
            events.read(self._call, item.output, Kind.BACKGROUND, "item.output")
        else:
            await self._message(item)
        shown = msgspec.to_builtins(item)
        if item.id is None:
            del shown["id"]
        shown = new_item(shown["type"], "completed") | shown
        for part in shown.get("content", []):
            part.pop("image_url", None)  # nothing that is shown is kept
        return self._items.add(shown, after) + self._items.done(shown)

    async def _message(self, item: e.Message) -> None:
        words, still = [], None
        for i, part in enumerate(item.content):
            field = f"item.content[{i}]"
            match part:
                case e.InputText(text):
                    words.append(text)
                case e.InputImage(url):
                    if still is not None or self._still is not None:
                        raise InputError(f"{field}: a picture waits to be looked at")
                    still = await asyncio.to_thread(_picture, url, f"{field}.image_url")
                case e.InputAudio():
                    raise InputError(
                        f"{field}.type: send sound by input_audio_buffer.append"
                    )
        channel = Kind.INSTRUCT if item.role == "system" else Kind.USER
        if words:
            events.read(self._call, " ".join(words), channel, "item.content")
        if still is not None:
            self._still = np.broadcast_to(still, (2, *still.shape))
            self._call.see(self._still)

    def _respond(self, asked: e.Asked, message: e.Respond) -> Told:
        if self._reply:
            why = f"{self._reply.id} is in progress; wait for its end or cancel it"
            return _cannot("conversation_already_has_active_response", why, message)
        if asked.instructions:
            field = "response.instructions"
            events.read(self._call, asked.instructions, Kind.INSTRUCT, field)
        modality = asked.output_modalities[0] if asked.output_modalities else None
        self._reply = self._new(modality, asked.metadata)
        return self._reply.created()

    def _cancel(self, response_id: str | None, message: e.Cancel) -> Told:
        if not self._reply or response_id not in (None, self._reply.id):
            why = f"no response {response_id or ''} is in progress"
            return _cannot("response_cancel_not_active", why, message)
        self._hushed = self._reply.begun
        return self._end("cancelled", reason="client_cancelled")

    def _hear(self, turn: Turn) -> Told:
        """The user's words that ended in this turn, or that none did."""
        told: Told = []
        for what in turn.out.events:
            if what.lane == "user":
                end = events.at_ms(turn, what.t_s)
                told += self._speech.word(what.text, end, self._transcribes)
        return told + self._speech.quiet(round(1000 * turn.t_s), self._transcribes)

    def _say(self, out: Output) -> Told:
        """What the model says in this turn begins, carries on or ends a response."""
        kinds = {what.kind for what in out.events if what.lane == "control"}
        speaks = Kind.SPEAK.name in kinds
        goes_on = speaks or bool(out.text.strip())
        ends = out.cleared or Kind.BREAK.name in kinds
        if ends or not goes_on:
            self._hushed = False
        # Where it stops speaking, its last sound rings out.
        rest = NOTHING if goes_on else np.trim_zeros(out.audio, "b")
        told: Told = []
        if out.cleared:
            told += self._finish("cancelled", reason="turn_detected")
        elif ends:
            told += self._finish("completed", rest)
            rest = NOTHING
        if Kind.DELEGATE.name in kinds and self._settings.delegate:
            given = {"heard": self._speech.text, "directive": out.directive}
            self._reply = self._reply or self._new()
            told += self._reply.call(e.DELEGATE, json.dumps(given))
        if not goes_on or self._hushed:
            told += self._finish("completed", rest)
        else:
            reply = self._reply or self._new()
            if said := reply.say(out.text, out.audio):
                self._reply, told = reply, told + said
            if reply.long:
                told += self._finish("incomplete", reason="max_output_tokens")
        return told + self._wait()

    def _new(
        self, modality: str | None = None, metadata: dict[str, str] | None = None
    ) -> Reply:
        return Reply(self._items, self._settings, self._conversation, modality, metadata)

    def _finish(self, status: str, tail: np.ndarray = NOTHING, **details: Any) -> Told:
        """End a response that has begun; one that waits goes on waiting."""
        if self._reply and self._reply.begun:
            return self._end(status, tail, **details)
        return []

    def _end(self, status: str, tail: np.ndarray = NOTHING, **details: Any) -> Told:
        reply, self._reply = self._reply, None
        return reply.end(status, tail, **details) if reply else []

    def _wait(self) -> Told:
        """For the model to begin what the client has asked for."""
        if self._reply and not self._reply.begun:
            self._reply.waited += 1
            if self._reply.waited >= PATIENCE:
                return self._end("completed")
        return []

    def _look(self, out: Output) -> None:
        """A picture is shown until the model looks: it does so now and then."""
        if out.given.patches is not None:
            self._still = None
        elif self._still is not None:
            self._call.see(self._still)

    @property
    def _line(self) -> Stream:
        assert isinstance(self._call.line, Stream)
        return self._call.line

    @property
    def _transcribes(self) -> bool:
        return self._settings.transcription is not None

    def _session(self) -> dict[str, Any]:
        told = {"id": self._id, "model": self._model} | self._settings.told()
        if self._recorded:
            told["recording"] = self._recorded
        return told | msgspec.to_builtins(self._sampling)

    async def _tell(self, told: Told) -> None:
        for kind, fields in told:
            await self.send(events.event(kind, fields))


def _cannot(code: str, why: str, message: e.Event) -> Told:
    """A message that makes sense at other times."""
    error = {"type": "invalid_request_error", "code": code, "message": why}
    return [("error", {"error": error | {"param": None, "event_id": message.event_id}})]


def _picture(url: str, field: str) -> np.ndarray:
    head = re.match(r"data:image/(jpeg|png);base64,", url)
    if head is None:
        raise InputError(f"{field}: no data: URL of a JPEG or PNG; nothing is fetched")
    return picture(events.from_base64(url[head.end() :], field), field)
