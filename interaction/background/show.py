"""A task's updates in one line each, for people who look on."""

from __future__ import annotations

from interaction.background.protocol import (
    Artifact,
    Commentary,
    Failed,
    Final,
    Thinking,
    Told,
    ToolFinished,
    ToolStarted,
    Update,
)
from interaction.background.toolbox import described


def titled(told: Told) -> tuple[str, str]:
    """Kind and text of an event."""
    kind = type(told.update).__struct_config__.tag
    return str(kind), f"{told.task}: {line(told.update)}"


def line(update: Update) -> str:
    match update:
        case Thinking(text) | Commentary(text) | Final(text) | Failed(text):
            return text
        case ToolStarted(_, name, arguments):
            return f"{name}({described(arguments)})"
        case ToolFinished(_, name, ok, text):
            return f"{name}: {text}" if ok else f"{name} failed: {text}"
        case Artifact(kind, _, title, _):
            return title or kind
    raise AssertionError(update)
