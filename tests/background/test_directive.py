"""What the model writes to the background model is not something that it says."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import numpy as np
import pytest

from interaction import step
from interaction.background.partner import Partner
from interaction.background.toolbox import Toolbox
from interaction.blocks import TurnInput
from interaction.conversation import Conversation
from interaction.grammar import Kind
from interaction.modality.text import Text
from interaction.package import ASSETS
from interaction.serve.call import Call
from interaction.serve.codec import Encoder, Format
from interaction.serve.limits import Limits
from interaction.serve.line import Stream
from interaction.serve.live import Live
from interaction.serve.room import Turn

NANO = Text.open(ASSETS / "nano" / "tokenizer.json")


def given(tiny, *kinds: Kind, words: str):
    """What a conversation makes of a frame of these, and of words."""
    tokens = [token for word in words.split() for token in NANO.word(word)]
    kind = np.array([*kinds[:1], *[Kind.TEXT] * len(tokens), *kinds[1:]], np.int32)
    token = np.array([0, *tokens, *[0] * (len(kind) - 1 - len(tokens))], np.int32)
    frame = step.Frame(**{
        name: np.zeros(3200, np.float32) if name == "audio" else None
        for name in step.Frame._fields
    })._replace(n=np.int32(len(kind)), kind=kind, token=token)  # fmt: skip
    heard = step.Heard(
        np.full(4, tiny.controls_at + Kind.NOTHING, np.int32), np.ones(4, np.float32)
    )
    talk = Conversation(tiny, NANO)
    return talk.give(heard, frame, TurnInput(np.zeros((4, 80), np.uint8)), 0.0)


@pytest.mark.parametrize(
    ("kinds", "directive", "text"),
    [
        ((Kind.DELEGATE, Kind.SILENT), "cancel", ""),
        ((Kind.DELEGATE, Kind.SPEAK), "", " cancel"),
        ((Kind.BREAK, Kind.SILENT), "", " cancel"),
    ],
)
def test_words_that_are_not_spoken_beside_a_delegation(tiny, kinds, directive, text):
    out = given(tiny, *kinds, words="cancel")
    assert (out.directive, out.text) == (directive, text)
    said = [event.text for event in out.events if event.lane == "agent"]
    assert said == ([text] if text else [])
    asked = [event.text for event in out.events if event.kind == "DELEGATE"]
    assert asked == ([directive] if Kind.DELEGATE in kinds else [])


class Told(Live):
    """A connection of which only what it sends is there."""

    def __init__(self) -> None:
        super().__init__(SimpleNamespace(limits=Limits(), turn_ms=200), None)
        self._encoder, self.sent = Encoder(Format()), []

    async def send(self, data) -> None:
        self.sent.append(json.loads(data))


def test_a_recording_is_referred_to(tiny):
    """By what the address of it is at the server, and as long as there is one."""
    out = given(tiny, Kind.SILENT, words="")

    async def main():
        live, call = Told(), Call(Stream())
        live._recording = "20260101-000000-01234567"
        call.partner = Partner(None, Toolbox(), lambda text: True, lambda told: None)
        live._follow(call, Turn(out, out.turn_s, 0.0, None))
        return call.partner.memory.context("t", 0.2, "", ()).references

    (kept,) = asyncio.run(main())
    assert (kept.kind, kept.start_s, kept.end_s) == ("audio", 0.0, 0.2)
    assert kept.uri == "/v1/recordings/20260101-000000-01234567"


@pytest.mark.parametrize(
    ("words", "directives"),
    [
        ("cancel", {"cancelled": None}),
        ("red", {"created": "red"}),
        ("instead red", {"cancelled": None, "created": "red"}),
    ],
)
def test_a_live_client_is_told_of_it_and_not_as_speech(tiny, words, directives):
    out = given(tiny, Kind.DELEGATE, Kind.SILENT, words=words)
    live = Told()
    asyncio.run(live.said(Turn(out, out.turn_s, 0.0, None)))
    sound, *told = live.sent
    assert sound["type"] == "session.output_audio.delta"
    assert {
        event["type"].removeprefix("session.delegation."): event.get("delegation", {}).get(
            "directive"
        )
        for event in told
    } == directives
