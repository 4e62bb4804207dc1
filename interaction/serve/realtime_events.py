"""What clients of OpenAI's Realtime protocol send: its events, and a session's settings.

Names and shapes are those of `openai.types.realtime` in the official SDK. Fields that this
server has no use for (voice, speed, noise reduction, ...) are let pass.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from interaction.serve.codec import Format
from interaction.serve.events import Event, Text

DELEGATE = "delegate"  # the function that a client declares to be delegated to

Id = Annotated[str, Meta(min_length=1, max_length=200)]
Modalities = Annotated[list[Literal["text", "audio"]], Meta(min_length=1, max_length=1)]

Metadata = Annotated[dict[str, Annotated[str, Meta(max_length=512)]], Meta(max_length=16)]


class Sound(msgspec.Struct):
    """rate: of PCM, 24 kHz where none is given; G.711 has 8 kHz."""

    type: str
    rate: int | None = None

    def format(self, field: str) -> Format:
        """Raises InputError, naming the field that this is."""
        usual = 24_000 if self.type == "audio/pcm" else 8_000
        return Format(self.type, self.rate or usual).check(field)


class Input(msgspec.Struct):
    """transcription: null when what is heard shall not be told; with which model is not
    asked. Turn detection is let pass: there is none."""

    format: Sound | UnsetType = UNSET
    transcription: dict | None | UnsetType = UNSET


class Output(msgspec.Struct):
    format: Sound | UnsetType = UNSET


class Audio(msgspec.Struct):
    input: Input = msgspec.field(default_factory=Input)
    output: Output = msgspec.field(default_factory=Output)


class Function(msgspec.Struct, omit_defaults=True):
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    type: Literal["function"]
    description: Text | None = None
    parameters: dict | None = None


class Session(msgspec.Struct):
    """An update: what is not given stays as it is."""

    type: Literal["realtime"]
    instructions: Text | None | UnsetType = UNSET
    output_modalities: Modalities | UnsetType = UNSET
    audio: Audio = msgspec.field(default_factory=Audio)
    tools: Annotated[list[Function], Meta(max_length=128)] | None | UnsetType = UNSET
    tool_choice: Literal["none", "auto", "required"] | dict | UnsetType = UNSET


class Settings(msgspec.Struct, frozen=True):
    """A session's, as they are in force. said, heard: formats, from the agent's view."""

    instructions: str = ""
    modality: str = "audio"  # or "text"
    heard: Format = Format()
    said: Format = Format()
    transcription: dict | None = msgspec.field(default_factory=dict)
    tools: tuple[Function, ...] = ()
    tool_choice: str | dict = "auto"

    def updated(self, by: Session) -> Settings:
        """Raises InputError, naming the field."""
        new: dict[str, Any] = {}
        if by.instructions is not UNSET:
            new["instructions"] = by.instructions or ""
        if by.output_modalities is not UNSET:
            new["modality"] = by.output_modalities[0]
        if by.audio.input.format is not UNSET:
            new["heard"] = by.audio.input.format.format("session.audio.input.format")
        if by.audio.output.format is not UNSET:
            new["said"] = by.audio.output.format.format("session.audio.output.format")
        if by.audio.input.transcription is not UNSET:
            new["transcription"] = by.audio.input.transcription
        if by.tools is not UNSET:
            new["tools"] = tuple(by.tools or ())
        if by.tool_choice is not UNSET:
            new["tool_choice"] = by.tool_choice
        return msgspec.structs.replace(self, **new)

    @property
    def delegate(self) -> Function | None:
        """The function that is called when the model delegates."""
        if self.tool_choice == "none":
            return None
        return next((tool for tool in self.tools if tool.name == DELEGATE), None)

    def told(self) -> dict[str, Any]:
        """As the protocol shows them."""
        heard = {"format": msgspec.to_builtins(self.heard), "turn_detection": None}
        return {
            "type": "realtime",
            "object": "realtime.session",
            "instructions": self.instructions,
            "output_modalities": [self.modality],
            "audio": {
                "input": heard | {"transcription": self.transcription},
                "output": {"format": msgspec.to_builtins(self.said)},
            },
            "tools": msgspec.to_builtins(self.tools),
            "tool_choice": self.tool_choice,
            "max_output_tokens": "inf",
        }


class Update(Event, tag="session.update"):
    session: Session


class Append(Event, tag="input_audio_buffer.append"):
    audio: str


class Commit(Event, tag="input_audio_buffer.commit"):
    pass


class Clear(Event, tag="input_audio_buffer.clear"):
    pass


class _Part(msgspec.Struct, tag_field="type"):
    """Of a message's content."""


class InputText(_Part, tag="input_text"):
    text: Text


class InputImage(_Part, tag="input_image"):
    image_url: str


class InputAudio(_Part, tag="input_audio"):
    pass


class _Item(msgspec.Struct, tag_field="type", kw_only=True):
    id: Id | None = None


class Message(_Item, tag="message"):
    role: Literal["user", "system"]
    content: Annotated[
        list[InputText | InputImage | InputAudio], Meta(min_length=1, max_length=16)
    ]


class CallOutput(_Item, tag="function_call_output"):
    call_id: Id
    output: Text


class Create(Event, tag="conversation.item.create"):
    item: Message | CallOutput
    previous_item_id: Id | None = None


class Retrieve(Event, tag="conversation.item.retrieve"):
    item_id: Id


class Delete(Event, tag="conversation.item.delete"):
    item_id: Id


class Truncate(Event, tag="conversation.item.truncate"):
    item_id: Id
    content_index: Annotated[int, Meta(ge=0, le=0)]
    audio_end_ms: Annotated[int, Meta(ge=0)]


class Asked(msgspec.Struct):
    """Of a response, beside the session's settings. What it is made from is always the
    one conversation."""

    conversation: Literal["auto"] | None = None
    input: None = None
    instructions: Text | None = None
    output_modalities: Modalities | None = None
    metadata: Metadata | None = None


class Respond(Event, tag="response.create"):
    response: Asked = msgspec.field(default_factory=Asked)


class Cancel(Event, tag="response.cancel"):
    response_id: Id | None = None


Client = (
    Update
    | Append
    | Commit
    | Clear
    | Create
    | Retrieve
    | Delete
    | Truncate
    | Respond
    | Cancel
)

decode = msgspec.json.Decoder(Client).decode
