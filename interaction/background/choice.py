"""Which mind and which tools, as the command line names them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from interaction.errors import InputError

if TYPE_CHECKING:  # the command line is read where no extra is installed, too
    from interaction.background.backends import Backend

FORMS = "none, scripted:FILE, or openai:MODEL or openai:MODEL@URL"


def backend(spec: str) -> Backend | None:
    """`FORMS`. Raises InputError, before anything that takes long."""
    kind, _, rest = spec.partition(":")
    if spec == "none":
        return None
    if kind == "scripted" and rest:
        from interaction.background.backends.scripted import ScriptedBackend

        return ScriptedBackend(Path(rest))
    if kind == "openai" and rest:
        from interaction.background.backends.openai import OpenAIBackend

        model, _, url = rest.partition("@")
        return OpenAIBackend(model, url or None)
    raise InputError(f"--background={spec}: unknown; use {FORMS}")
