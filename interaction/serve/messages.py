"""The native protocol: what client and server tell each other, in MessagePack.

One binary WebSocket message is one of these, tagged by `type`. After `Start` (or `Resume`)
has been answered by `Started`, the client sends one `Hear` a micro-turn, at its own pace;
the server sends one `Say` every 200 ms. Sound is signed 16-bit, little-endian, one channel,
16 kHz: 6,400 bytes a turn; or, where `Start` says so, ten bare packets of Opus, of 20 ms. A
turn's number places it on the conversation's clock: what comes late, twice or much too
early is dropped, what does not come is silence.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from interaction.background import protocol
from interaction.background.protocol import Ask

BYTES = 6_400  # of a turn's sound
PICTURE = 1 << 20  # bytes at most

Sound = Annotated[bytes, Meta(min_length=BYTES, max_length=BYTES)]
Packet = Annotated[bytes, Meta(min_length=1, max_length=1_276)]
Packets = Annotated[list[Packet], Meta(min_length=10, max_length=10)]
Coding = Literal["pcm", "opus"]
Picture = Annotated[bytes, Meta(min_length=1, max_length=PICTURE)]
Count = Annotated[int, Meta(ge=0, lt=1 << 31)]
Share = Annotated[float, Meta(ge=0, le=10)]  # a temperature


class _Message(msgspec.Struct, tag_field="type"):
    pass


class Start(_Message, tag="start", forbid_unknown_fields=True):
    """A new conversation. delay: turns that the clock runs behind the client's, in which
    late ones still come (0-10); consent: to be recorded, where the server records; sound:
    how it is coded, both ways; asks: the client can show an `Ask`."""

    seed: Count = 0
    temperature: Share = 0.0
    delay: Annotated[int, Meta(ge=0, le=10)] = 0
    consent: bool = False
    sound: Coding = "pcm"
    asks: bool = False


class Resume(_Message, tag="resume", forbid_unknown_fields=True):
    """Go on with a conversation whose connection broke, or from a snapshot. No time passes
    before the first `Hear`. A token serves once, unless `fork` leaves it as it is and goes
    on with a copy, which has a token of its own."""

    token: Annotated[str, Meta(max_length=100)]
    fork: bool = False
    consent: bool = False
    sound: Coding = "pcm"
    asks: bool = False


class Hear(_Message, tag="hear", forbid_unknown_fields=True):
    """A micro-turn of the user's. pictures: two, JPEG or PNG, 100 ms apart."""

    turn: Count
    audio: Sound | Packets
    pictures: Annotated[list[Picture], Meta(min_length=2, max_length=2)] | None = None
    text: Annotated[str, Meta(max_length=1_000)] = ""


class Answer(protocol.Answer, frozen=True, tag="answer", forbid_unknown_fields=True):
    """Of the user's, to `Ask`."""

    number: Count


class Snapshot(_Message, tag="snapshot", forbid_unknown_fields=True):
    """Keep the conversation as it is now; it goes on. Answered by `Kept`."""


class Close(_Message, tag="close", forbid_unknown_fields=True):
    """The client's end of the conversation."""


class Started(_Message, tag="started"):
    """turn: the number that is heard next; token: for `Resume`, within `grace_s`; frame_*:
    pixels of a picture as the model sees it, scaled to fit in, and turns from one look to
    the next: others pass unseen; recording: what this conversation's recording is called,
    None when there is none."""

    token: str
    turn: int
    turn_ms: int
    grace_s: float
    frame_height: int
    frame_width: int
    frame_period: int
    recording: str | None = None


class Kept(_Message, tag="kept"):
    """A snapshot. token: for `Resume`, at this server or another one with its files; turn:
    the last `Say` that came before it, -1 when none did."""

    token: str
    turn: int


class Happened(msgspec.Struct):
    """As `interaction.conversation.Event`."""

    t_s: float
    lane: str
    kind: str
    text: str


class Say(_Message, tag="say"):
    """A micro-turn of the agent's, for the 200 ms from when it comes. turn: of the clock,
    which is `Start.delay` ahead of the input that it answers; cleared: drop what is queued
    for playback first; missing_ms: of the input, what had not come in time; early_ms: how
    long the input had waited when the turn began, by which a client may pace itself."""

    turn: int
    audio: bytes | list[bytes]
    text: str
    heard: list[str]
    events: list[Happened]
    cleared: bool
    missing_ms: float
    compute_ms: float
    early_ms: float = 0.0


class Drawn(_Message, tag="drawn"):
    """A picture of the background's, for the user: SVG."""

    task: str
    title: str
    t_s: float
    svg: str


class Error(_Message, tag="error"):
    """Of one message; the conversation goes on, unless `ended` follows."""

    message: str


class Ended(_Message, tag="ended"):
    why: str


ToServer = Start | Resume | Hear | Answer | Snapshot | Close
ToClient = Started | Say | Kept | Ask | Drawn | Error | Ended

to_server = msgspec.msgpack.Decoder(ToServer)
to_client = msgspec.msgpack.Decoder(ToClient)
encode = msgspec.msgpack.Encoder().encode
