"""What the interaction model and a background model tell each other, as JSON.

DELEGATE opens a task. It is given a `Context`: the whole conversation so far, and not a
question alone. It streams `Update`s back, as they are found, and ends with `Final` or
`Failed`. Before a tool acts on the world, the user is asked (`Ask`) and answers (`Answer`),
by a click or in words. DELEGATE with the directive `cancel` ends all tasks (`Cancel`), and
with `instead`, and what is wanted now, all but the one that it opens.
`python -m interaction.background.protocol` prints the JSON schema. To a task:

    {"version": "interaction.background/1", "task": "task_1", "asked_s": 4.2,
     "directive": "", "instructions": "be kind",
     "said": [{"who": "user", "start_s": 1.0, "end_s": 3.8, "text": "and in Rome?"}],
     "happened": [{"kind": "interrupted", "t_s": 0.8, "text": ""}],
     "references": [{"kind": "audio", "start_s": 0.0, "end_s": 4.2, "uri": "file:///a.wav"}],
     "tools": [{"name": "weather", "description": "of a city", "confirm": false,
                "parameters": {"type": "object"}}]}
    {"type": "cancel", "task": "task_1"}
    {"type": "answer", "number": 0, "yes": true}

From it, in this order mostly, each in its envelope, of which the first is written out:

    {"version": "interaction.background/1", "task": "task_1",
     "update": {"type": "thinking", "text": "a city in Italy"}}
    {"type": "commentary", "text": "let me look"}
    {"type": "tool_started", "call": "c1", "name": "weather", "arguments": {"city": "Rome"}}
    {"type": "tool_finished", "call": "c1", "name": "weather", "ok": true, "text": "sunny"}
    {"type": "artifact", "kind": "text/plain", "content": "a map", "title": "Rome"}
    {"type": "ask", "number": 0, "tool": "buy", "about": "buys things",
     "arguments": "what=\\"bread\\"", "seconds": 30.0}
    {"type": "final", "text": "it is sunny"}
    {"type": "failed", "why": "the connection was lost"}

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


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Ends a task, or all: what it holds is let go, and what has not been read of it is
    not. It fails, and nobody is told in words."""

    task: str | None = None


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """Whether a tool may act. about: what it does; arguments: with what, for people. No
    answer is a no, after `seconds`. It has no envelope: it is the conversation's."""

    number: int
    tool: str
    about: str
    arguments: str
    seconds: float


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """Of the user's, to `Ask`."""

    number: int
    yes: bool


def schema() -> dict[str, Any]:
    """JSON schema of both directions."""
    both, parts = msgspec.json.schema_components([Context, Told, Cancel, Ask, Answer])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": VERSION,
        "anyOf": list(both),
        "$defs": dict(parts),
    }


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1))
