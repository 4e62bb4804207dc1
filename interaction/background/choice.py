"""Which mind and which tools, as the command line names them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from interaction.errors import InputError

if TYPE_CHECKING:  # the command line is read where no extra is installed, too
    from interaction.background.backends import Backend

FORMS = "none, scripted:FILE, local:CHECKPOINT[@DEVICES], or openai:MODEL[@URL]"


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
    if kind == "local" and rest:
        from interaction.background.backends.local import LocalBackend

        checkpoint, _, devices = rest.partition("@")
        return LocalBackend(checkpoint, devices or None)
    raise InputError(f"--background={spec}: unknown; use {FORMS}")


def mind(spec: str, servers: Path | None, folder: Path | None) -> Backend | None:
    """`backend`, with all tried that can be before anything that takes long. servers,
    folder: of its tools. Raises InputError."""
    if spec == "none" and (servers or folder):
        raise InputError("--tools and --folder are the background's: name --background")
    try:
        found = backend(spec)
        if found:
            from interaction.background import toolset  # noqa: F401
        if servers:
            from interaction.background.tools.mcp_config import read_servers

            read_servers(servers)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name} is missing: pip install 'interaction[background]'"
        ) from None
    return found
