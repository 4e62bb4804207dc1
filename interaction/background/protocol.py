"""What the interaction model and a background model tell each other, as JSON.

DELEGATE opens a task. It is given a `Context`: the whole conversation so far, and not a
question alone. It streams `Update`s back, as they are found, and ends with `Final` or
`Failed`. `python -m interaction.background.protocol` prints the JSON schema.

Times are stream time in seconds: when something ended for the user.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec

VERSION: Literal["interaction.background/1"] = "interaction.background/1"


class Said(msgspec.Struct, frozen=True):
    """Words of one speaker between two of the other's, or of one breath."""

    who: Literal["user", "agent"]
    start_s: float
    end_s: float
    text: str


class Happened(msgspec.Struct, frozen=True):
    """What else went on. typed: by the user; result, failed: of a task, as it was told to
    the interaction model."""

    kind: Literal["interrupted", "delegated", "typed", "result", "failed", "cancelled"]
    t_s: float
    text: str = ""


class Reference(msgspec.Struct, frozen=True):
    """Sound or a picture that is kept, by its address."""

    kind: Literal["audio", "frame"]
    start_s: float
    end_s: float
    uri: str


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool that may be called. parameters: JSON schema of its arguments; confirm: it acts
    on the world, so that the user is asked first."""

    name: str
    description: str
    parameters: dict[str, Any]
    confirm: bool = False


class Context(msgspec.Struct, frozen=True):
    """All that a task is given. directive: what DELEGATE said, if anything."""

    task: str
    asked_s: float
    directive: str = ""
    instructions: str = ""
    said: tuple[Said, ...] = ()
    happened: tuple[Happened, ...] = ()
    references: tuple[Reference, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    version: Literal["interaction.background/1"] = VERSION


class Thinking(msgspec.Struct, frozen=True, tag="thinking"):
    """For whoever looks on; the interaction model is not told."""

    text: str


class Commentary(msgspec.Struct, frozen=True, tag="commentary"):
    """Worth saying before the end."""

    text: str


class ToolStarted(msgspec.Struct, frozen=True, tag="tool_started"):
    call: str
    name: str
    arguments: dict[str, Any]


class ToolFinished(msgspec.Struct, frozen=True, tag="tool_finished"):
    """ok: whether there is a result; text: that, or why not."""

    call: str
    name: str
    ok: bool
    text: str


class Artifact(msgspec.Struct, frozen=True, tag="artifact"):
    """To be shown. kind: of `content`, by its media type; picture: of it, as SVG, where it
    has been drawn."""

    kind: str
    content: Any
    title: str = ""
    picture: str = ""


class Final(msgspec.Struct, frozen=True, tag="final"):
    text: str


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """why: in words that can be said aloud."""

    why: str


Update = Thinking | Commentary | ToolStarted | ToolFinished | Artifact | Final | Failed


class Told(msgspec.Struct, frozen=True):
    """An update on its way."""

    task: str
    update: Update
    version: Literal["interaction.background/1"] = VERSION


def schema() -> dict[str, Any]:
    """JSON schema of both directions."""
    both, parts = msgspec.json.schema_components([Context, Told])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": VERSION,
        "anyOf": list(both),
        "$defs": dict(parts),
    }


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1))
